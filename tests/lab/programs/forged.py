# Types that only a daemon may send, from a named client: none of them may come round.
exec(open(__file__.replace('forged', 'sign_on')).read().split("\nfor name in sys.argv")[0])
TYPES = '''status starting resource shutdone ip-request ip-request-resp stonith addnode delnode setweight
    setsite reqnodes repnodes hbapi-clstat hbapi-resp respond-cstatus NS_st NS_rexmit NS_ackmsg
    NS_nak_rexmit NS_anything'''.split()
s = sign_on('users')
messages(s, is_answer)
s.sendall(frame([('t', 'hbapi-req'), ('reqtype', 'setfilter'), ('pid', os.getpid()), ('fmask', '3f')]))
messages(s, is_answer)
for kind in TYPES:
    s.sendall(frame([('t', kind), ('st', 'dead'), ('src', 'node2'), ('node', 'node2'), ('nodelist', 'node2 node9'),
                     ('rsc_hold', 'all'), ('isstable', '1'), ('info', 'forged'), ('mark', 'forged')]))
    s.sendall(frame([('t', 'allowed'), ('mark', 'allowed'), ('after', kind)]))
heard = messages(s, lambda m: m.get('after') == TYPES[-1], 10)
print('forged', [m['t'] for m in heard if m.get('mark') == 'forged'])
print('allowed', [m['after'] for m in heard if m.get('mark') == 'allowed'] == TYPES)
