# Sign-ons of many kinds: who is let in, and why not. One line each.
import os, socket, struct, sys
from grp import getgrnam
from pwd import getpwnam

PATH = '/run/heartbeat/register'


def frame(fields):
    body = b'>>>\n' + b''.join(b'%s=%s\n' % (k.encode(), str(v).encode()) for k, v in fields) + b'<<<\n\0'
    return struct.pack('=iI', len(body), 0xabcd) + body


def messages(s, wanted, limit=3.0):
    """What comes, up to the first message that `wanted` takes."""
    s.settimeout(limit)
    data, all = b'', []
    while True:
        while len(data) >= 8:
            length, _ = struct.unpack('=iI', data[:8])
            if len(data) < 8 + length:
                break
            lines = data[8:8 + length].decode('latin1').split('\n')[1:]
            all.append(dict(line.split('=', 1) for line in lines if '=' in line))
            data = data[8 + length:]
            if wanted(all[-1]):
                return all
        try:
            part = s.recv(65536)
        except socket.timeout:
            return all + [{'t': 'silence'}]
        if not part:
            return all + [{'t': 'closed'}]
        data += part


def is_answer(message):
    return message.get('t') == 'hbapi-resp'


def sign_on(name, forged=()):
    s = socket.socket(socket.AF_UNIX)
    s.connect(PATH)
    fields = {'t': 'hbapi-req', 'reqtype': 'signon', 'pid': os.getpid(), 'from_id': name or os.getpid(),
              'uid': os.geteuid(), 'gid': os.getegid()}
    fields.update(forged)
    s.sendall(frame((k, v) for k, v in fields.items() if v is not None))
    return s


def verdict(message):
    return message.get('result', message['t']) + (' ' + message['info'] if 'info' in message else '')


def attempt(name, user='root', group=None, more=(), forged=()):
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    account = getpwnam(user)
    gid = getgrnam(group).gr_gid if group else account.pw_gid
    os.setgroups([getgrnam(g).gr_gid for g in more])
    os.setresgid(gid, gid, gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    try:
        last = messages(sign_on(name, forged), is_answer)[-1]
        result = verdict(last) + ('' if 'deadtime' in last else ' without deadtime')
    except OSError as error:
        result = repr(error)
    print('%s as %s:%s%s%s -> %s' % (name, user, group, more or '', sorted(forged) or '', result))
    sys.stdout.flush()
    os._exit(0)


for name in sys.argv[1:] or ['ipfail', 'ccm', 'ping', 'lha-snmpagent', 'anon', None, 'dopd', 'users', 'both',
                             'named', 'numbers', 'nosuch']:
    for user, group in [('root', 'root'), ('root', 'haclient'), ('hacluster', 'haclient'),
                        ('hacluster', 'nogroup'), ('nobody', 'nogroup'), ('nobody', 'haclient'),
                        ('daemon', 'daemon'), ('games', 'games'), ('nobody', 'games')]:
        attempt(name, user, group)
if sys.argv[1:]:
    sys.exit()
# Only the primary group counts.
attempt(None, 'nobody', 'nogroup', more=('haclient',))
attempt('ping', 'nobody', 'nogroup', more=('haclient',))
# What is claimed must be true.
attempt(None, forged={'uid': 1}.items())
attempt(None, forged={'gid': 1}.items())
attempt(None, forged={'uid': None}.items())
attempt(None, forged={'uid': 'x'}.items())
attempt('users', 'games', forged={'uid': 0}.items())
attempt('users', forged={'pid': 1}.items())
attempt('users', forged={'pid': 999999}.items())
attempt('users', forged={'pid': 'x'}.items())
attempt(None, forged={'from_id': None}.items())
# Another's name, at the sign-on and after it.
first = sign_on('users')
messages(first, is_answer)
attempt('users')
attempt('users', 'daemon')
casual = sign_on(None)
messages(casual, is_answer)
for pid, name in [(1, 'users'), (1, None), (None, 'users'), (None, None), (1, 1)]:
    fields = [('t', 'hbapi-req'), ('reqtype', 'numnodes'), ('pid', pid), ('from_id', name)]
    casual.sendall(frame((k, v) for k, v in fields if v is not None))
    print('request as', pid, name, '->', verdict(messages(casual, is_answer, 0.7)[-1]))
casual.sendall(frame([('t', 'hbapi-req'), ('reqtype', 'numnodes'), ('pid', os.getpid())]))
print('request as itself ->', verdict(messages(casual, is_answer)[-1]))
# A message for others under another name is one under the own.
first.sendall(frame([('t', 'hello'), ('from_id', 'ipfail'), ('to_id', 'ipfail'), ('client_gen', 'x'), ('src', 'node2')]))
heard = messages(first, lambda m: m['t'] == 'hello')[-1]
print('hello', heard.get('from_id'), heard.get('to_id'), heard.get('src'), heard.get('client_gen') != 'x')
# A client without a name may not send.
casual.sendall(frame([('t', 'hello')]))
print('casual message ->', messages(casual, is_answer)[-1]['t'])
