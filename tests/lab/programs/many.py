# Two hundred clients at once, each with every heartbeat to read; every tenth asks again and again.
import os, select, socket, struct, time


def request(kind, **more):
    fields = dict(t='hbapi-req', reqtype=kind, pid=os.getpid(), from_id='c%d' % len(clients), **more)
    body = b'>>>\n' + b''.join(b'%s=%s\n' % (k.encode(), str(v).encode()) for k, v in fields.items()) + b'<<<\n\0'
    return struct.pack('=iI', len(body), 0xabcd) + body


clients = []
for i in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect('/run/heartbeat/register')
    s.settimeout(10)
    s.sendall(request('signon', uid=0, gid=0))
    while b'result=OK' not in s.recv(65536):
        pass
    s.sendall(request('setfilter', fmask='f'))
    clients.append(s)
answers = beats = 0
end = time.monotonic() + 5
while time.monotonic() < end:
    for s in clients[::10]:
        s.sendall(request('nodelist'))
    for s in select.select(clients, [], [], 0.05)[0]:
        data = s.recv(65536)
        assert data, 'closed'
        answers += data.count(b'reqtype=nodelist')
        beats += data.count(b't=status\n')
print('answers', answers > 500, 'beats', beats > 2000, len(clients))
