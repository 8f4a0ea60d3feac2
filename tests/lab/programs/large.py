# Messages of many sizes from a client to its namesake on the other node.
#   large.py read            prints `NUMBER SIZE DIGEST` of each that arrives, until after the last; then `end`
#   large.py write STYLE     sends them and prints what it sent and what was refused. STYLE: `text`, or `struct`: in a
#                            field that the sender wants to be compressed
#   large.py once KIB NODE   sends one to NODE, and prints why it was refused, or `not refused`
#   large.py flood SECONDS NODE   sends 200 KiB to NODE five times a second
import base64, hashlib, os, random, socket, struct, sys, time

SIZES = [1, 10, 60, 70, 200]


def frame(body):
    return struct.pack('=iI', len(body), 0xabcd) + body


def classic(fields):
    return frame(b'>>>\n' + b''.join(k.encode() + b'=' + str(v).encode() + b'\n' for k, v in fields) + b'<<<\n\0')


def item(kind, name, value):
    part = b'(%d)%s=%s' % (kind, name.encode(), value)
    return b'%d:%s,' % (len(part), part)


def netstring(items):
    return b'###\n' + b''.join(items) + b'%%%\n'


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect('/run/heartbeat/register')
    s.sendall(classic([('t', 'hbapi-req'), ('reqtype', 'signon'), ('pid', os.getpid()), ('from_id', 'large'), ('uid', 0), ('gid', 0)]))
    return s


def bodies(s):
    data = b''
    while True:
        while len(data) >= 8 and len(data) >= 8 + struct.unpack('=i', data[:4])[0]:
            length = struct.unpack('=i', data[:4])[0]
            yield data[8:8 + length]
            data = data[8 + length:]
        part = s.recv(1 << 20)
        if not part:
            return
        data += part


def field(body, name):
    """The value of a text field in either form."""
    for start, end in ((b'\n%s=' % name, b'\n'), (b'(0)%s=' % name, b',')):
        at = body.find(start)
        if at >= 0:
            at += len(start)
            return body[at:body.index(end, at)]
    return None


def opened(body):
    """Out of its wrapper: legacy compresses for its clients as well."""
    name = b'(1)_compressed_payload='
    at = body[:64].find(name)
    if at < 0:
        return body
    import bz2, zlib
    length = int(body[4:at - 1])
    packed = body[at + len(name):at + length]
    how = field(body[at + length:], b'_compression_algorithm')
    return (bz2 if how == b'bz2' else zlib).decompress(packed)


def unpacked(body):
    """The text field `load`, also out of a compressed or a nested field."""
    at = body.find(b'(4)x=')
    if at >= 0:
        import bz2, zlib
        colon = body.rindex(b':', 0, at)
        start = colon - 1
        while start > 0 and body[start - 1:start].isdigit():
            start -= 1
        length = int(body[start:colon])
        packed = body[at + 5:colon + 1 + length]
        how = field(body, b'_compression_algorithm')
        return field((bz2 if how == b'bz2' else zlib).decompress(packed), b'load')
    return field(body, b'load')


def content(number, kib, dull):
    if dull:
        return (b'%d-' % number) + b'words that repeat ' * (kib * 1024 // 18)
    data = random.Random(number).randbytes(kib * 768)
    return base64.b64encode(data).replace(b'=', b'x')


def tell(number, load):
    print(number, len(load), hashlib.md5(load).hexdigest(), flush=True)


s = connect()
if sys.argv[1] == 'read':
    print('ready', flush=True)
    try:
        for body in bodies(s):
            body = opened(body)
            if field(body, b't') == b'last':
                # A message that is being compressed may come behind it.
                s.settimeout(2.5)
                continue
            load = unpacked(body)
            if load is not None:
                tell(field(body, b'number').decode(), load)
    except socket.timeout:
        pass
    print('end', flush=True)
elif sys.argv[1] == 'once':
    load = 'x' * (int(sys.argv[2]) * 1024)
    s.sendall(classic([('t', 'once'), ('dest', sys.argv[3]), ('load', load)]))
    s.settimeout(2)
    try:
        why = next(field(body, b'info') for body in bodies(s) if field(body, b'result') == b'badreq')
        print('refused', why.decode(), flush=True)
    except socket.timeout:
        print('not refused', flush=True)
elif sys.argv[1] == 'flood':
    # Text as programs write it: what it takes to compress it counts.
    words = [base64.b32encode(random.Random(n).randbytes(5)).decode().lower() for n in range(64)]
    load = ' '.join(random.Random(0).choices(words, k=200 * 1024 // 9))
    end, number = time.monotonic() + float(sys.argv[2]), 0
    while time.monotonic() < end:
        number += 1
        s.sendall(classic([('t', 'flood'), ('dest', sys.argv[3]), ('number', number), ('load', load)]))
        time.sleep(0.2)
    print(number, 'sent', flush=True)
else:
    style, number, sent = sys.argv[2], 0, {}
    for dull in (True, False):
        for kib in SIZES:
            number += 1
            load = content(number, kib, dull)
            tell(number, load)
            if style == 'text':
                s.sendall(classic([('t', 'large%d' % number), ('dest', sys.argv[3]), ('number', number), ('load', load.decode())]))
            else:
                inner = netstring([item(0, 'load', load)])
                s.sendall(frame(netstring([item(0, 't', b'large%d' % number), item(0, 'dest', sys.argv[3].encode()),
                                           item(0, 'number', b'%d' % number), item(5, 'x', inner)])))
            time.sleep(0.3)
    for _ in range(5):
        s.sendall(classic([('t', 'last'), ('dest', sys.argv[3])]))
        time.sleep(1)
    s.settimeout(0.5)
    try:
        for body in bodies(s):
            if field(body, b'result') == b'badreq':
                print('refused', field(body, b'reqtype').decode(), field(body, b'info').decode(), flush=True)
    except socket.timeout:
        pass
