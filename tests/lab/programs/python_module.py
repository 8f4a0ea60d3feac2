# Drives the client module of the legacy package. It is written for a Python of long ago: what that
# had and this one lacks is stood in for here; the module itself is used as it is installed.
import collections, struct, sys, types, warnings
stand_in = types.ModuleType('UserDict')
stand_in.UserDict = collections.UserDict
sys.modules['UserDict'] = stand_in
types.InstanceType = collections.UserDict
types.StringType, types.ListType, types.IntType = str, list, int
types.FileType = type('Never', (), {})
sys.dont_write_bytecode = True
sys.path.insert(0, '/usr/share/heartbeat')
warnings.simplefilter('ignore')
import hb_api
hb_api.ha_msg.F_SIGNAL = 'signal'


def put(self, name, value):
    self.data[name] = value.decode('latin1') if isinstance(value, bytes) else str(value)


def write(self, s):
    body = repr(self).encode('latin1')
    s.sendall(struct.pack('II', len(body), 0xabcd) + body)


def read(self, s):
    def exactly(n):
        data = b''
        while len(data) < n:
            part = s.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data
    length, magic = struct.unpack('II', exactly(8))
    return self.fromstring(exactly(length).decode('latin1').rstrip('\0'))


hb_api.ha_msg.__setitem__, hb_api.ha_msg.tosock, hb_api.ha_msg.fromsock = put, write, read
h = hb_api.hb_api()
for call in """signon() nodelist() iflist('node2') iflist('nope') nodestatus('node2') nodestatus('nope')
        nodetype('node2') getparm('deadtime') getparm('nosuch') getrsc() ifstatus('node2','eth0')
        ifstatus('node2','eth9') setfilter(0) setfilter(1) setsignal(0) setsignal(9) get_hbversion()
        get_pacemaker() cluster_config() nodes_with_status('active') signoff() nodelist()""".split():
    try:
        print(call, '->', eval('h.' + call))
    except Exception as error:
        print(call, 'raises', repr(error))
h = hb_api.hb_api()
heard = []
print('named ->', h.signon('pytest'))
h.set_msg_callback('hello', lambda message, data: heard.append((data, message['from_id'], message['src'])), 'called')
print('cluster message ->', h.sendclustermsg(hb_api.ha_msg({'t': 'hello', 'text': 'to all'})))
print('node message ->', h.sendnodemsg(hb_api.ha_msg({'t': 'hello', 'text': 'to one'}), 'node1'))
for i in range(40):
    if len(heard) == 2:
        break
    if h.msgready(0.1):
        message = h.readmsg()
        if message and message['t'] not in ('hello', 'status'):
            print('read', message['t'], message['src'])
print('called', heard)
print('signoff ->', h.signoff())
