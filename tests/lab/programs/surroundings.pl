#!/usr/bin/perl
# Writes down all that a process inherits, a line for each thing: NAME, a tab, VALUE. The name of the file says who it is.
# Numbers of processes become what they are, so that two hosts can be compared.
use strict;

sub text { my $file; open($file, '<', $_[0]) or return ''; local $/; my $text = <$file>; return $text // '' }
sub words_of { return join('|', map { s/\n/\\n/gr } split(/\0/, text("/proc/$_[0]/cmdline"), -1)) }

my %seen;
my $status = text('/proc/self/status');
# Seccomp_filters and what memory is used change from process to process.
for my $name (qw(Umask Uid Gid Groups SigBlk ShdPnd SigPnd SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp
                 Cpus_allowed Mems_allowed VmLck THP_enabled CoreDumping Speculation_Store_Bypass)) {
    $seen{$name} = $1 if $status =~ /^\Q$name\E:[ \t]*(.*?)[ \t]*$/m;
}
for (split /\n/, text('/proc/self/limits')) {
    $seen{"limit $1"} = "$2 $3" if /^(Max .*?)  +(\S+) +(\S+)/;
}
my $stat = text('/proc/self/stat');
$stat =~ s/^.*\) //s;
my @stat = split / /, $stat;
@seen{qw(nice rt_priority policy)} = @stat[16, 37, 38];
my ($parent, $group, $session, $tty) = @stat[1 .. 4];
$seen{'leader of its group'} = $group == $$ ? 'itself' : words_of($group);
$seen{'leader of its session'} = $session == $$ ? 'itself' : words_of($session);
$seen{'terminal'} = $tty;
$seen{'parent'} = words_of($parent);
$seen{$_} = text("/proc/self/$_") =~ s/\n$//r
    for qw(oom_score_adj timerslack_ns personality coredump_filter cgroup loginuid autogroup);
$seen{autogroup} =~ s/^\S+ //;
my %number = `uname -m` =~ /aarch64/ ? (prctl => 167, ioprio => 31) : (prctl => 157, ioprio => 252);
for ([deathsignal => 2], [subreaper => 37]) {
    my $into = pack('i', 0);
    syscall($number{prctl}, $_->[1], $into);
    $seen{$_->[0]} = unpack('i', $into);
}
$seen{$_->[0]} = syscall($number{prctl}, $_->[1], 0, 0, 0, 0)
    for [dumpable => 3], [keepcaps => 7], [securebits => 27], [timerslack => 30], ['machine check' => 34], ['huge pages off' => 42];
$seen{ioprio} = syscall($number{ioprio}, 1, 0);
$seen{"namespace $_"} = readlink("/proc/self/ns/$_") for qw(cgroup ipc time user);
$seen{cwd} = readlink('/proc/self/cwd');
$seen{root} = readlink('/proc/self/root');
opendir(my $open, '/proc/self/fd');
for my $fd (grep { /^\d+$/ } readdir $open) {
    my $to = readlink("/proc/self/fd/$fd") // next;
    # Its own: the directory, and the script.
    next if $fd == fileno($open) || ($fd > 2 && $to =~ m{surroundings|probe|^\Q$0\E$});
    my $flags = text("/proc/self/fdinfo/$fd") =~ /^flags:\s*0*(\d+)/m ? oct($1) : 0;
    $to =~ s/:\[\d+\]//;
    my $how = ('read', 'write', 'both')[$flags & 3] . ($flags & 02000 ? ' append' : '') . ($flags & 04000 ? ' nonblock' : '');
    $seen{"descriptor $fd"} = "$to $how";
}
$seen{program} = $0;
$seen{arguments} = join('|', @ARGV);
my %times;
for (split /\0/, text('/proc/self/environ')) {
    my ($name, $value) = split /=/, $_, 2;
    $seen{"env $name"} = $value =~ s/\n/\\n/gr =~ s/\t/\\t/gr;
    $seen{"env $name"} .= ' (twice)' if $times{$name}++;
}
my $who = $0 =~ s{.*/}{}r . join('', map { "-$_" } grep { /^(start|stop|status|monitor|client)$/ } @ARGV);
my $place = -d '/var/log/probes' ? '/var/log/probes' : '/tmp';
my $count = 1;
$count++ while -e "$place/$who.$count";
open(my $into, '>', "$place/.$who.$$") or die;
print $into "$_\t$seen{$_}\n" for sort keys %seen;
close $into;
rename "$place/.$who.$$", "$place/$who.$count";
exec('sleep', '1000') if grep { $_ eq 'client' } @ARGV;
# It stands in front of the script that was there.
exec("$0.shipped", @ARGV) if -x "$0.shipped";
# As a resource script, it runs between start and stop: a service that holds the output of the script open.
my $last = $ARGV[-1] // '';
my $runs = '/run/probe-runs';
if ($last eq 'start') {
    my $service = fork // die;
    exec('sleep', '1000') if !$service;
    open(my $mark, '>', $runs);
    print $mark $service;
}
if ($last eq 'stop' && -e $runs) { kill 'TERM', text($runs); unlink $runs }
if ($last eq 'status' || $last eq 'monitor') { print -e $runs ? "running\n" : "stopped\n" }
exit($last eq 'monitor' && !-e $runs ? 7 : 0);
