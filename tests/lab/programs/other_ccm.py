# In the place of ccm: says other memberships, and prints what a cl_status makes of each.
import os, socket, struct, subprocess, sys, threading
PATH = '/run/heartbeat/ccm/ccm'


def frame(body):
    return struct.pack('=iI', len(body), 0xabcd) + body


def event(instance, quorum, *members):
    return frame(struct.pack('=iiii', 2, len(members), instance, quorum) + b''.join(struct.pack('=ii', *m) for m in members))


NAMES = frame(struct.pack('=iii', 4, 2, 0) + b''.join(
    struct.pack('=i', i) + name.ljust(256, b'\0') for i, name in enumerate([b'node1', b'node2'])))
SAYS = {
    'no quorum': NAMES + event(7, 0, (0, 2), (1, 1)),
    'without us': NAMES + event(7, 1, (1, 1)),
    'neither': NAMES + event(7, 0, (1, 1)),
    'nobody': NAMES + event(7, 0),
    'alone': NAMES + event(8, 2, (0, 8)),
    'large numbers': NAMES + event(-1, 1, (0, -1)),
    'names alone': NAMES + frame(struct.pack('=ii', 5, 0)),
}
os.rename(PATH, PATH + '.away')
for name, data in SAYS.items():
    s = socket.socket(socket.AF_UNIX)
    s.bind(PATH)
    s.listen(5)

    def serve():
        c, _ = s.accept()
        c.sendall(data)
        try:
            while c.recv(100):
                pass
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    said = subprocess.run(sys.argv[1:] + ['hbstatus', '-v'], capture_output=True, text=True)
    print(name, said.returncode, said.stdout)
    s.close()
    os.unlink(PATH)
os.rename(PATH + '.away', PATH)
