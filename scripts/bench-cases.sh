# shellcheck shell=bash disable=SC2154
# The cases of scripts/bench. Sourced, never run. A figure is a line "ROW<TAB>KIND<TAB>NUMBER" in $figures; `table` makes
# one markdown row of each ROW and KIND: number of runs, minimum, median, 95th percentile, maximum.

ADDRESS=10.77.0.100
LABS=()
lab() { "$ROOT/tests/lab/lab" "$@"; }
take_down() { local name; for name in "${LABS[@]}"; do lab down "$name" || true; done; rm -f "$LAB_ROOT"/meter.*; }
# make LAB HOSTS: a fresh lab that is taken down at the end.
make() { lab down "$1"; LABS+=("$1"); lab up "$1" "$2" >/dev/null; }
daemon() { if [ "$1" = legacy ]; then echo /usr/libexec/heartbeat/heartbeat; else echo "$target/heartbeat"; fi; }
figure() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$figures"; }
table() { # table TITLE ROW...
  local title=$1 row kind; shift
  say ""; say "| $title | kind | runs | min | median | 95 % | max |"; say "|---|---|---|---|---|---|---|"
  for row in "$@"; do
    for kind in ours legacy; do
      awk -F'\t' -v r="$row" -v k="$kind" '$1 == r && $2 == k && $3 != "" && $3 != "null" {print $3}' "$figures" | sort -n |
        awk -v r="$row" -v k="$kind" '{v[NR] = $1}
          END {if (NR) printf "| %s | %s | %d | %.4g | %.4g | %.4g | %.4g |\n", r, k, NR, v[1], v[int((NR + 1) / 2)], v[int(NR * 0.95 + 0.999)], v[NR]}'
    done
  done
}

# files LAB KIND DEADTIME-MS RESOURCES: the files of both nodes; everything else has its default (realtime is on).
files() {
  local node dir
  for node in node1 node2; do
    dir=$(lab dir "$1" $node)
    printf '%s\n' "logfile /var/log/ha-log" "logfacility none" "keepalive $(($3 / 5))ms" "warntime $(($3 / 2))ms" \
      "deadtime ${3}ms" "initdead 10" "auto_failback off" "bcast eth0" "node node1 node2" >"$dir/ha.d/ha.cf"
    printf 'auth 1\n1 sha1 bench\n' >"$dir/ha.d/authkeys"; chmod 600 "$dir/ha.d/authkeys"
    printf '%s\n' "$4" >"$dir/ha.d/haresources"
  done
}
start() { lab exec "$1" "$3" setsid "$(daemon "$2")" >/dev/null 2>&1; }
# As after a power cut: no process, no service address, nothing in /run.
reset_nodes() {
  local node
  for node in node1 node2; do lab poweroff "$1" $node >/dev/null 2>&1; done
  for node in node1 node2; do
    lab poweron "$1" $node; lab link "$1" $node eth0 up
    lab sh "$1" $node 'rm -rf /run/heartbeat.* /run/heartbeat/*.pid /var/log/ha-log; mkdir -p /run/heartbeat'
  done
}
# measure LAB SECONDS NODE COMMAND...: the third host measures, a second later COMMAND is run; prints the meter's object.
measure() {
  local name=$1 seconds=$2 node=$3 out; out=$(mktemp "$LAB_ROOT/meter.XXXXXX"); shift 3
  lab exec "$name" client chrt -r 20 "$target/examples/meter" $ADDRESS "$seconds" "$node" >"$out" &
  sleep 1; "$@" >/dev/null 2>&1 || true
  wait $!
  cat "$out"; rm -f "$out"
}

start_both() { start "$1" "$2" node1 & start "$1" "$2" node2 & wait; }
cut_off() { lab link "$1" "$2" eth0 down; lab crash "$1" "$2"; }
# One life of a pair: both start at once, are active for ten seconds, hand over (at deadtime 1 s), the owner dies.
# The last two are measured in one lab at a time.
life() {
  local name=$1 kind=$2 dead=$3 owner=node1 watch=16 seen
  [ "$kind" = legacy ] || watch=13
  reset_nodes "$name"
  seen=$(measure "$name" $watch node1 start_both "$name" "$kind")
  figure "cold start" "$kind" "$(jq -r '(.first_answer_s - ([.beats.node1.first_s, .beats.node2.first_s] | max)) * 1000' <<<"$seen")"
  exec 9>"$LAB_ROOT/turn"
  if [ "$dead" = 1000 ]; then
    flock 9
    seen=$(measure "$name" 3 node1 lab exec "$name" node1 /usr/share/heartbeat/hb_standby all)
    flock -u 9
    figure "planned hand-over" "$kind" "$(jq -r .longest_ms <<<"$seen")"
    owner=node2
  fi
  flock 9
  seen=$(measure "$name" $((dead * 3 / 2000 + 3)) $owner cut_off "$name" $owner)
  flock -u 9
  figure "failover, deadtime $dead" "$kind" "$(jq -r "(.silences | max_by(.silent_ms)).after_last_beat_ms - $dead" <<<"$seen")"
}
case_failover() {
  local spec kind dead
  for spec in "ours 1000" "legacy 1000" "ours 200" "legacy 200"; do
    read -r kind dead <<<"$spec"
    make "bench-$kind-$dead" "node1 node2 client"
    files "bench-$kind-$dead" "$kind" "$dead" "node1 $ADDRESS/24/eth0"
  done
  for _ in $(seq "$1"); do
    for spec in "ours 1000" "legacy 1000" "ours 200" "legacy 200"; do
      read -r kind dead <<<"$spec"
      life "bench-$kind-$dead" "$kind" "$dead" &
    done
    wait
  done
  table "silence, ms (failover: beyond deadtime)" "failover, deadtime 1000" "failover, deadtime 200" "planned hand-over" "cold start"
}

# Waits until the pair is active and node1 has the address; legacy needs some seconds more until it moves groups.
settled() {
  for _ in $(seq 400); do lab sh "$1" node1 'ip addr' | grep -q $ADDRESS/ && break; sleep 0.1; done
  if [ "$2" = legacy ]; then sleep 5; else sleep 2; fi
}
# How long `heartbeat -k` takes on the owner, start of the program included.
case_stop() {
  local kind name
  for kind in ours legacy; do
    name=bench-stop-$kind; make "$name" "node1 node2 client"
    files "$name" "$kind" 1000 "node1 $ADDRESS/24/eth0"
  done
  for _ in $(seq $((($1 + 1) / 2))); do
    for kind in ours legacy; do
      name=bench-stop-$kind; reset_nodes "$name"; start_both "$name" $kind; settled "$name" $kind
      figure "heartbeat -k on the owner" $kind \
        "$(lab sh "$name" node1 "begin=\$(date +%s%N); $(daemon $kind) -k >/dev/null 2>&1; echo \$(((\$(date +%s%N) - begin) / 1000))" | awk '{print $1 / 1000}')"
    done
  done
  table "a stop, ms" "heartbeat -k on the owner"
}

# The preferred owner starts beside a node that serves, gets its group back and is cut off as soon as it has it.
young_owner() {
  local begin; begin=$(date +%s%N)
  start "$1" "$2" node1
  for _ in $(seq 600); do lab sh "$1" node1 'ip addr' | grep -q $ADDRESS/ && break; sleep 0.02; done
  figure "age of the owner" "$2" $((($(date +%s%N) - begin) / 1000000))
  cut_off "$1" node1
}
case_young() {
  local kind name seen
  for kind in ours legacy; do
    name=bench-young-$kind; make "$name" "node1 node2 client"
    files "$name" "$kind" 1000 "node1 $ADDRESS/24/eth0"
    for node in node1 node2; do sed -i 's/^auto_failback.*/auto_failback on/' "$(lab dir "$name" $node)/ha.d/ha.cf"; done
  done
  for _ in $(seq $((($1 + 1) / 2))); do
    for kind in ours legacy; do
      name=bench-young-$kind; reset_nodes "$name"; start "$name" $kind node2
      for _ in $(seq 400); do lab sh "$name" node2 'ip addr' | grep -q $ADDRESS/ && break; sleep 0.1; done
      sleep 5
      seen=$(measure "$name" 20 node1 young_owner "$name" $kind)
      figure "silence after its last heartbeat, beyond deadtime 1000" $kind "$(jq -r '(.silences | max_by(.silent_ms)).after_last_beat_ms - 1000' <<<"$seen")"
    done
  done
  table "an owner that dies as soon as it has its group, ms" "age of the owner" "silence after its last heartbeat, beyond deadtime 1000"
}

# A client sends a message of 200 KiB five times a second, which the daemon compresses: how late heartbeats are meanwhile.
case_compression() {
  local kind name node seen row client=$ROOT/tests/lab/programs/large.py
  for kind in ours legacy; do
    name=bench-compression-$kind; make "$name" "node1 node2 client"
    files "$name" "$kind" 1000 "node1 $ADDRESS/24/eth0"
    for node in node1 node2; do
      sed -i '1i compression bz2\ntraditional_compression yes\napiauth large uid=root' "$(lab dir "$name" $node)/ha.d/ha.cf"
    done
    start_both "$name" $kind
  done
  for kind in ours legacy; do settled "bench-compression-$kind" $kind; done
  for _ in $(seq $((($1 + 3) / 4))); do
    for kind in ours legacy; do
      name=bench-compression-$kind
      for row in "without messages" "with messages"; do
        if [ "$row" = "with messages" ]; then
          lab exec "$name" node2 timeout 26 python3 -u "$client" read >"$LAB_ROOT/arrived" 2>/dev/null &
          seen=$(measure "$name" 22 node1 lab exec "$name" node1 timeout 25 python3 "$client" flood 20 node2)
          wait || true
          figure "messages that arrived" $kind "$(grep -c '^[0-9]' "$LAB_ROOT/arrived")"
        else seen=$(measure "$name" 22 node1 true); fi
        figure "$row: latest of 110 heartbeats" $kind "$(jq '.beats.node1.longest_ms - 200' <<<"$seen")"
        figure "$row: heartbeats received" $kind "$(jq '.beats.node1.count' <<<"$seen")"
      done
    done
  done
  table "heartbeats beside 200 KiB messages, ms late" "without messages: latest of 110 heartbeats" "with messages: latest of 110 heartbeats" \
    "without messages: heartbeats received" "with messages: heartbeats received" "messages that arrived"
}

# Nanoseconds for which all threads of the daemon's processes ran.
cpu_ns() { lab sh "$1" node1 'for p in $(pgrep -x heartbeat); do cat /proc/$p/task/*/schedstat; done' | awk '{n += $1} END {printf "%.0f", n}'; }
kernel_drops() { lab sh "$1" node1 'cat /proc/net/udp' | awk '$2 ~ /:02B6$/ {n += $NF} END {print n + 0}'; }
case_load() {
  local kind burst row name cpu drops seen sent=20000
  for kind in ours legacy; do
    name=bench-load-$kind; make "$name" "node1 node2"
    files "$name" "$kind" 10000 "node1 $ADDRESS/24/eth0"
    sed -i 's/^initdead.*/initdead 10/' "$(lab dir "$name" node1)/ha.d/ha.cf"
    start "$name" "$kind" node1
  done
  for kind in ours legacy; do
    for _ in $(seq 400); do lab sh "bench-load-$kind" node1 'ip addr' | grep -q $ADDRESS && break; sleep 0.1; done
  done
  for _ in $(seq $((($1 + 3) / 4))); do
    for burst in 40 1; do
      for kind in ours legacy; do
        name=bench-load-$kind row="in bursts of 40"; [ $burst = 40 ] || row="evenly"
        cpu=$(cpu_ns "$name"); drops=$(kernel_drops "$name")
        seen=$(lab exec "$name" node2 chrt -r 20 "$target/examples/talker" 10.77.0.255 694 node2 bench 4000 5 $burst)
        cpu=$(($(cpu_ns "$name") - cpu)); drops=$(($(kernel_drops "$name") - drops))
        figure "$row: CPU of each one taken, us" "$kind" "$(awk -v ns=$cpu -v n=$((sent - drops)) 'BEGIN {print ns / 1000 / (n > 0 ? n : 1)}')"
        figure "$row: dropped by the kernel" "$kind" $drops
        figure "$row: asked for again" "$kind" "$(jq .asked_again <<<"$seen")"
        figure "$row: not acknowledged at the end" "$kind" "$(jq '.last - .acknowledged' <<<"$seen")"
        figure "$row: sender late, ms" "$kind" "$(jq .behind_ms <<<"$seen")"
      done
    done
  done
  local rows=() what
  for row in "in bursts of 40" "evenly"; do
    for what in "CPU of each one taken, us" "dropped by the kernel" "asked for again" "not acknowledged at the end" "sender late, ms"; do rows+=("$row: $what"); done
  done
  table "4000 messages a second for 5 s, sha1" "${rows[@]}"
}

# kB of a member of /proc/PID/status, summed over the processes that run under this name.
status_kb() { lab sh "$1" node1 "for p in \$(pgrep -x $3); do grep ^$2: /proc/\$p/status; done" | awk '{n += $2} END {print n + 0}'; }
case_memory() {
  local kind name
  for kind in ours legacy; do
    name=bench-memory-$kind; make "$name" "node1 node2 client"
    files "$name" "$kind" 1000 "node1 $ADDRESS/24/eth0"
    start_both "$name" "$kind"
  done
  sleep 25
  for kind in ours legacy; do
    figure "resident, the daemon's processes" "$kind" "$(status_kb "bench-memory-$kind" VmRSS heartbeat)"
    figure "locked address space" "$kind" "$(status_kb "bench-memory-$kind" VmLck heartbeat)"
  done
  name=bench-memory-ours
  figure "guardian, resident" ours "$(status_kb $name VmRSS heartbeat-guard)"
  table "memory, kB (memreserve: 6500 of it)" "resident, the daemon's processes" "locked address space" "guardian, resident"
}

# What a settled pair costs while nothing happens: times that its threads wake, and processor time, in half a minute.
waked() { lab sh "$1" node1 'for p in $(pgrep -x "heartbeat|heartbeat-guard"); do for t in /proc/$p/task/*; do echo $(sed -n "s/^voluntary_ctxt_switches:\t//p" $t/status) $(cut -d" " -f1 $t/schedstat); done; done' | awk '{w += $1; n += $2} END {printf "%.0f %.0f", w, n}'; }
case_idle() {
  local kind name dead before after rows=()
  for dead in 5000 500; do
    for kind in ours legacy; do
      name=bench-idle-$dead-$kind; make "$name" "node1 node2 client"
      files "$name" "$kind" "$dead" "node1 $ADDRESS/24/eth0"
      start_both "$name" "$kind"
    done
    # The last look that a start has (doctor, the first answers of the network) is over.
    sleep 40
    for kind in ours legacy; do
      name=bench-idle-$dead-$kind
      before=$(waked "$name"); sleep 30; after=$(waked "$name")
      figure "keepalive $((dead / 5)) ms: wake-ups a second" "$kind" "$(awk -v a="$before" -v b="$after" 'BEGIN {split(a, x); split(b, y); print (y[1] - x[1]) / 30}')"
      figure "keepalive $((dead / 5)) ms: % of a processor" "$kind" "$(awk -v a="$before" -v b="$after" 'BEGIN {split(a, x); split(b, y); print (y[2] - x[2]) / 3e8}')"
    done
    rows+=("keepalive $((dead / 5)) ms: wake-ups a second" "keepalive $((dead / 5)) ms: % of a processor")
    for kind in ours legacy; do lab down "bench-idle-$dead-$kind"; done
  done
  table "a pair with nothing to do" "${rows[@]}"
}

# A group of 256 addresses: the owner dies.
case_addresses() {
  local kind name seen watch turns=$((($1 + 3) / 4)) group
  group="node1 $(seq -f '10.9.9.%g/24/eth0' -s ' ' 0 255)"
  for kind in ours legacy; do
    name=bench-many-$kind; make "$name" "node1 node2 client"
    files "$name" "$kind" 1000 "$group"
  done
  for turn in $(seq "$turns"); do
    for kind in ours legacy; do
      # Legacy needs minutes.
      watch=6
      if [ $kind = legacy ]; then [ "$turn" = 1 ] || continue; watch=90; fi
      name=bench-many-$kind; reset_nodes "$name"; start_both "$name" $kind
      for _ in $(seq 1800); do lab sh "$name" node1 'ip addr' | grep -q 10.9.9.255/ && break; sleep 0.1; done
      sleep 3
      seen=$(measure "$name" $watch node1 cut_off "$name" node1)
      figure "addresses announced" $kind "$(jq '.moves | last | .addresses' <<<"$seen")"
      figure "last after first, ms" $kind "$(jq '.moves | last | (.last_s - .first_s) * 1000' <<<"$seen")"
      figure "latest beat of the new owner, ms late" $kind "$(jq '.beats.node2.longest_ms - 200' <<<"$seen")"
    done
  done
  table "256 addresses in a group" "addresses announced" "last after first, ms" "latest beat of the new owner, ms late"
}

# Somebody removes the address of the owner, or sets its interface down and up at once: how long nobody answers. Legacy
# does nothing about the first.
case_removed() {
  local name=bench-removed seen row command
  make "$name" "node1 node2 client"; files "$name" ours 1000 "node1 $ADDRESS/24/eth0"
  reset_nodes "$name"; start_both "$name" ours; settled "$name" ours
  for _ in $(seq "$1"); do
    for row in "ip addr del" "ip link set down, up"; do
      command="ip addr del $ADDRESS/24 dev eth0"
      [ "$row" = "ip addr del" ] || command="ip link set eth0 down; ip link set eth0 up"
      seen=$(measure "$name" 3 node1 lab sh "$name" node1 "$command")
      figure "$row" ours "$(jq -r .longest_ms <<<"$seen")"
      sleep 1
    done
  done
  table "from the removal of an address to its first answer, ms" "ip addr del" "ip link set down, up"
}

# The codec and the core alone.
case_datagram() {
  say ""; say "| step | time |"; say "|---|---|"
  as_caller cargo bench --locked --quiet --bench datagram -- --warm-up-time 1 --measurement-time 2 2>/dev/null |
    awk '/time:/ {sub(/ *time: */, ""); name = $0 ~ /^\[/ ? last : ""; if (name == "") {split($0, a, "["); name = a[1]; $0 = "[" a[2]} split($0, t, " "); print "| " name " | " t[3] " " t[4] " |"} {last = $0}'
}

# The client socket: a table of its own, because one run has hundreds of questions.
case_clients() { say ""; "$ROOT/scripts/bench-clients" 2 100; }

# A monitor of nginx, as fast as it can be: from kill -9 of all its processes to the first page, when it is restarted and
# when its group moves. Then what a hundred monitors cost that run a program every five seconds.
WEB_SCRIPT='#!/bin/sh
case $1 in
  start) mkdir -p /run/web; echo served >/run/web/index.html
    printf "%s\n" "user root; worker_processes 1; pid /run/web/nginx.pid; error_log /run/web/error;" "events {}" \
      "http { access_log off; client_body_temp_path /run/web/1; proxy_temp_path /run/web/2; fastcgi_temp_path /run/web/3;" \
      "uwsgi_temp_path /run/web/4; scgi_temp_path /run/web/5; server { listen 80; root /run/web; } }" >/run/web/conf
    pgrep -x nginx >/dev/null || nginx -c /run/web/conf 2>/dev/null ;;
  stop) pkill -KILL -x nginx; rm -f /run/web/nginx.pid; exit 0 ;;
  status) pgrep -x nginx >/dev/null ;;
esac'
ANY_SCRIPT='#!/bin/sh
exit 0'
script() { local node dir; for node in node1 node2; do dir=$(lab dir "$1" $node)/ha.d/resource.d; mkdir -p "$dir"; printf '%s\n' "$3" >"$dir/$2"; chmod +x "$dir/$2"; done; }
monitors() { local node; for node in node1 node2; do printf '%b' "$2" >"$(lab dir "$1" $node)/ha.d/systole.toml"; done; }
good() { local _; for _ in $(seq 200); do lab sh "$1" "$2" "$target/systole view" | jq -e '[.groups[].monitors[].state] | all(. == "good")' >/dev/null 2>&1 && return; sleep 0.1; done; return 1; }
ASK='ask() { exec 3<>/dev/tcp/'$ADDRESS'/80 && printf "GET / HTTP/1.0\r\n\r\n" >&3 && read -r -t 0.2 _ <&3; }; until (ask) 2>/dev/null; do sleep 0.002; done'
case_monitors() {
  local name=bench-monitors row restarts owner begin node before after
  make "$name" "node1 node2 client"; files "$name" ours 1000 "node1 $ADDRESS/24/eth0 web"; script "$name" web "$WEB_SCRIPT"
  for row in "it is restarted" "its group moves"; do
    restarts=50; [ "$row" = "it is restarted" ] || restarts=0
    monitors "$name" "[[monitor]]\nresource = \"web\"\ninterval_s = 1\nfailures = 1\nrestarts = $restarts\n"
    reset_nodes "$name"; start_both "$name" ours; settled "$name" ours
    for _ in $(seq "$1"); do
      owner=node1; lab sh "$name" node1 'ip addr' | grep -q $ADDRESS/ || owner=node2
      good "$name" $owner || true
      for node in node1 node2; do lab sh "$name" $node "$target/systole clear $ADDRESS/24/eth0" >/dev/null 2>&1 || true; done
      sleep "1.$((RANDOM % 900 + 100))"
      begin=$(date +%s%N); lab sh "$name" $owner 'pkill -KILL -x nginx'
      lab sh "$name" client "$ASK"
      figure "$row" ours $((($(date +%s%N) - begin) / 1000000))
      sleep 2
    done
  done
  table "from kill -9 of nginx to the first page, ms" "it is restarted" "its group moves"
  lab down "$name"
  for row in 0 100; do
    name=bench-monitors-$row; make "$name" "node1 node2"; script "$name" any "$ANY_SCRIPT"
    files "$name" ours 5000 "node1 $ADDRESS/24/eth0 $(seq -f 'any::%g' -s ' ' 100)"
    monitors "$name" "$(seq -f '[[monitor]]\nresource = "any::%g"\ninterval_s = 5\n' -s '\n' "$row")"
    start_both "$name" ours; sleep 40
    before=$(waked "$name"); sleep 30; after=$(waked "$name")
    figure "$row monitors: wake-ups a second" ours "$(awk -v a="$before" -v b="$after" 'BEGIN {split(a, x); split(b, y); print (y[1] - x[1]) / 30}')"
    figure "$row monitors: % of a processor" ours "$(awk -v a="$before" -v b="$after" 'BEGIN {split(a, x); split(b, y); print (y[2] - x[2]) / 3e8}')"
    lab down "$name"
  done
  table "monitors that run a program every 5 s" "0 monitors: wake-ups a second" "0 monitors: % of a processor" \
    "100 monitors: wake-ups a second" "100 monitors: % of a processor"
}

# Eight processes that never rest and two that write and wait for the disk, for BUSY_SECONDS: how late the heartbeats of
# ours, legacy and keepalived (where it is installed) arrive at a third host, all three at once, keepalive 100 ms, deadtime
# 500 ms; and how often a living node was declared dead. keepalived's dead time with these settings is 3.4 intervals.
keepalived_files() {
  local node dir
  for node in node1 node2; do
    dir=$(lab dir "$1" $node)/ha.d
    printf '%s\n' "global_defs {" "  vrrp_version 3" "}" "vrrp_instance bench {" "  state BACKUP" "  interface eth0" "  virtual_router_id 51" \
      "  priority $([ $node = node1 ] && echo 150 || echo 100)" "  advert_int 0.1" \
      "  virtual_ipaddress {" "    $ADDRESS/24" "  }" "}" >"$dir/keepalived.conf"
  done
}
start_keepalived() {
  lab exec "$1" "$2" setsid sh -c 'keepalived --dont-fork --log-console --log-detail --use-file /etc/ha.d/keepalived.conf --pid /run/ka.pid --vrrp_pid /run/ka-vrrp.pid >/var/log/ka 2>&1 &'
}
# The time from each heartbeat to the next of the same host, in milliseconds, from what tcpdump has seen.
intervals() {
  awk '/^[0-9]+\.[0-9]+ IP / {at = $1; from = $3; seen = 0
      if (/VRRP/) {if (from in last) print (at - last[from]) * 1000; last[from] = at}}
    /t=status/ && !seen {seen = 1; split(from, part, "."); host = part[1] "." part[2] "." part[3] "." part[4]
      if (host in last) print (at - last[host]) * 1000; last[host] = at}'
}
case_busy() {
  local kinds=(ours legacy) kind name node seconds=${BUSY_SECONDS:-600} load=() watch=() dead before=0
  if command -v keepalived >/dev/null; then kinds+=(keepalived); else say "SKIPPED keepalived: not installed"; fi
  for kind in "${kinds[@]}"; do
    name=bench-busy-$kind; make "$name" "node1 node2 client"
    if [ "$kind" = keepalived ]; then keepalived_files "$name"; for node in node1 node2; do start_keepalived "$name" $node; done
    else files "$name" "$kind" 500 "node1 $ADDRESS/24/eth0"; start_both "$name" "$kind"; fi
  done
  sleep 20
  # Both begin as standby, and either may have become the master at the start.
  [ ${#kinds[@]} -lt 3 ] || before=$(grep -c "Entering MASTER STATE" "$(lab dir bench-busy-keepalived node2)/log/ka" || true)
  for kind in "${kinds[@]}"; do
    lab exec "bench-busy-$kind" client chrt -r 30 tcpdump -i eth0 -B 16384 -tt -n -l -A 'udp port 694 or proto 112' >"$LAB_ROOT/busy.$kind" 2>/dev/null &
    watch+=($!)
  done
  mkdir -p "$LAB_ROOT/storm"
  for _ in 1 2 3 4 5 6 7 8; do setsid timeout -s KILL $((seconds + 60)) sh -c 'while :; do :; done' & load+=($!); done
  for node in 1 2; do setsid timeout -s KILL $((seconds + 60)) sh -c "while :; do dd if=/dev/zero of=$LAB_ROOT/storm/$node bs=64k count=256 oflag=dsync conv=notrunc 2>/dev/null; done" & load+=($!); done
  sleep "$seconds"
  for node in "${load[@]}"; do kill -- "-$node" 2>/dev/null || kill "$node" 2>/dev/null || true; done
  for kind in "${kinds[@]}"; do lab sh "bench-busy-$kind" client 'pkill -x tcpdump' || true; done
  wait "${load[@]}" "${watch[@]}" 2>/dev/null || true
  rm -rf "$LAB_ROOT/storm"
  say ""; say "| ${seconds} s of eight hogs and a storm of fsync, keepalive 100 ms, deadtime 500 ms | intervals | median, ms | 99 % | 99.9 % | longest | declared dead | late in the log |"
  say "|---|---|---|---|---|---|---|---|"
  for kind in "${kinds[@]}"; do
    name=bench-busy-$kind
    if [ "$kind" = keepalived ]; then
      dead=$(($(grep -c "Entering MASTER STATE" "$(lab dir "$name" node2)/log/ka" || true) - before)) late=-
    else
      dead=0 late=0
      for node in node1 node2; do
        dead=$((dead + $(grep -c ": is dead" "$(lab dir "$name" $node)/log/ha-log" || true)))
        late=$((late + $(grep -c "Late heartbeat" "$(lab dir "$name" $node)/log/ha-log" || true)))
      done
    fi
    intervals <"$LAB_ROOT/busy.$kind" | sort -n | awk -v k="$kind" -v d="$dead" -v l="$late" '{v[NR] = $1}
      function at(p) {i = int(NR * p + 0.9999); return v[i < 1 ? 1 : i]}
      END {printf "| %s | %d | %.1f | %.1f | %.1f | %.1f | %s | %s |\n", k, NR, at(0.5), at(0.99), at(0.999), v[NR], d, l}'
    rm -f "$LAB_ROOT/busy.$kind"
  done
}
