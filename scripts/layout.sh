# shellcheck shell=bash disable=SC2034
# The list of installed files, for scripts/install, scripts/uninstall and scripts/package. Sourced, never run.

TEMPLATES=/usr/share/systole/ha.d
HELPER=/usr/libexec/systole/ha_helper
# Names of the helper program.
HELPERS=(ResourceManager mach_down req_resource hb_standby hb_takeover hb_addnode hb_delnode hb_setweight hb_setsite)
# name mode place
PROGRAMS=(
  "heartbeat 755 /usr/libexec/heartbeat/heartbeat"
  "ipfail 755 /usr/libexec/heartbeat/ipfail"
  "ha_helper 755 $HELPER"
  "systole 755 /usr/sbin/systole"
  "systole-web 755 /usr/sbin/systole-web"
  "cl_status 755 /usr/bin/cl_status"
)
# mode source place
FILES=(
  "755 conf/heartbeat.init /etc/init.d/heartbeat"
  "644 conf/heartbeat.logrotate /etc/logrotate.d/heartbeat"
  "644 conf/heartbeat.service /lib/systemd/system/heartbeat.service"
  "644 conf/systole-web.service /lib/systemd/system/systole-web.service"
  "644 conf/heartbeat.tmpfiles /usr/lib/tmpfiles.d/heartbeat.conf"
  "644 conf/completions/systole.bash /usr/share/bash-completion/completions/systole"
  "644 conf/completions/systole-web.bash /usr/share/bash-completion/completions/systole-web"
  "644 conf/completions/_systole /usr/share/zsh/vendor-completions/_systole"
  "644 conf/completions/_systole-web /usr/share/zsh/vendor-completions/_systole-web"
  "644 conf/completions/systole.fish /usr/share/fish/vendor_completions.d/systole.fish"
  "644 conf/completions/systole-web.fish /usr/share/fish/vendor_completions.d/systole-web.fish"
  "755 conf/libexec/ocf_resource /usr/libexec/systole/ocf_resource"
  "755 conf/libexec/set_up /usr/libexec/systole/set_up"
  "755 conf/ha.d/harc $TEMPLATES/harc"
  "644 conf/ha.d/README.config $TEMPLATES/README.config"
  "755 conf/ha.d/rc.d/status $TEMPLATES/rc.d/status"
  "755 conf/ha.d/rc.d/hb_takeover $TEMPLATES/rc.d/hb_takeover"
  "755 conf/ha.d/rc.d/ip-request $TEMPLATES/rc.d/ip-request"
  "755 conf/ha.d/rc.d/ip-request-resp $TEMPLATES/rc.d/ip-request-resp"
  "755 conf/ha.d/rc.d/ask_resources $TEMPLATES/rc.d/ask_resources"
  "755 conf/ha.d/resource.d/systemd $TEMPLATES/resource.d/systemd"
  "644 conf/examples/ha.cf /usr/share/doc/systole/examples/ha.cf"
  "644 conf/examples/haresources /usr/share/doc/systole/examples/haresources"
  "644 conf/examples/authkeys /usr/share/doc/systole/examples/authkeys"
  "644 conf/examples/systole.toml /usr/share/doc/systole/examples/systole.toml"
  "644 conf/prometheus/systole.rules.yml /usr/share/doc/systole/examples/prometheus/systole.rules.yml"
  "644 conf/prometheus/systole-dashboard.json /usr/share/doc/systole/examples/prometheus/systole-dashboard.json"
  "644 README.md /usr/share/doc/systole/README.md"
  "644 conf/debian/copyright /usr/share/doc/systole/copyright"
)
# The folders are the same as in the repository, so that the links among the pages work (tests/layout.rs).
for page in docs/*.md docs/*/*.md; do FILES+=("644 $page /usr/share/doc/systole/$page"); done
unset page
ADDRESS_WRAPPERS=(IPaddr IPaddr2 IPv6addr)
OCF_WRAPPERS=(AudibleAlarm Delay Filesystem ICP IPsrcaddr LVM LinuxSCSI MailTo OCF Raid1 SendArp ServeRAID WinPopup
  Xinetd apache db2 portblock)
# mode place
DIRECTORIES=(
  "755 /etc/ha.d/rc.d" "755 /etc/ha.d/resource.d" "755 /var/lib/heartbeat/cores"
  "700 /var/lib/heartbeat/cores/root" "700 /var/lib/heartbeat/cores/hacluster" "700 /var/lib/heartbeat/cores/nobody"
)

# Lines "target place": other names of our programs. Files and scripts of all generations of the legacy package name
# them in /usr/share/heartbeat, /usr/lib/heartbeat and /usr/lib64/heartbeat.
links() {
  local name place
  for name in "${HELPERS[@]}" script_output; do echo "$HELPER /usr/libexec/systole/$name"; done
  for place in /usr/share/heartbeat /usr/lib/heartbeat /usr/lib64/heartbeat; do
    for name in "${HELPERS[@]}"; do echo "$HELPER $place/$name"; done
  done
  for place in /usr/lib/heartbeat /usr/lib64/heartbeat; do
    for name in heartbeat ipfail; do echo "/usr/libexec/heartbeat/$name $place/$name"; done
  done
  # In PATH, for people.
  echo "/usr/libexec/heartbeat/heartbeat /usr/sbin/heartbeat"
  for name in "${HELPERS[@]}"; do
    case $name in mach_down|req_resource) ;; *) echo "$HELPER /usr/sbin/$name" ;; esac
  done
  echo "$HELPER /usr/bin/cl_respawn"
}
