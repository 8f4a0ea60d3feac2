use super::*;

/// A stand-in for the restart: it reports that it was called.
fn told() -> (impl FnOnce() -> String + Send, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    let restart = move || {
        let _ = tell.send(());
        "refused".to_owned()
    };
    (restart, told)
}

/// The attempt to run a program from a failed disk never returns.
#[test]
fn the_kernel_is_asked_though_this_thread_hangs() {
    let (restart, told) = told();
    let _force = Force::arm(Duration::from_millis(20), || (), restart).unwrap();
    // Nothing on this thread sends a message any more.
    told.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn the_kernel_is_asked_when_whoever_armed_it_is_gone() {
    let (restart, told) = told();
    drop(Force::arm(Duration::from_secs(3600), || (), restart).unwrap());
    told.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[actix::test]
async fn the_kernel_is_asked_at_once_when_the_programs_failed() {
    let (restart, told) = told();
    let force = Force::arm(Duration::from_secs(3600), || (), restart).unwrap();
    assert_eq!(force.now().await, "refused");
    told.try_recv().unwrap();
}

/// What other programs have written is not lost, unless their disk hangs.
#[actix::test]
async fn the_disks_are_written_after_an_accepted_reboot() {
    let armed = || {
        let (tell, told) = mpsc::channel();
        let synced = tell.clone();
        let sync = move || {
            let _ = synced.send("sync");
        };
        let restart = move || {
            let _ = tell.send("restart");
            "refused".to_owned()
        };
        let force = Force::arm(Duration::from_secs(3600), sync, restart);
        (force.unwrap(), told)
    };
    let (force, told) = armed();
    assert_eq!(force.accepted(Duration::from_millis(20)).await, "refused");
    assert_eq!(told.iter().collect::<Vec<_>>(), ["sync", "restart"]);
    // Without a program that has accepted, a resource that does not stop cannot wait.
    let (force, told) = armed();
    assert_eq!(force.now().await, "refused");
    assert_eq!(told.iter().collect::<Vec<_>>(), ["restart"]);
    at_most(Duration::from_millis(20), || {
        loop {
            std::thread::park();
        }
    });
}

/// `init 6` has only begun a shutdown, which waits for the resource that does not stop.
#[actix::test]
async fn a_program_that_accepts_has_not_restarted_the_machine() {
    let accepts: [(&str, &[&str]); 1] = [("/bin/true", &[])];
    // The normal limit would be long.
    let hour = |restart| move |_| Force::arm(Duration::from_secs(3600), || (), restart);
    let (restart, told) = told();
    let (accepted, never) = (Duration::from_millis(20), || "asked twice".to_owned());
    let why = restart_by(Haste::None, &accepts, accepted, hour(restart), never).await;
    assert_eq!(
        why,
        "/bin/true has accepted, and the machine still runs; refused"
    );
    told.try_recv().unwrap();
    // If the kernel has refused before, only a person can help.
    let (restart, told) = self::told();
    let why = restart_by(Haste::Utmost, &accepts, accepted, hour(restart), never).await;
    assert_eq!(
        why,
        "/bin/true has accepted, and the machine still runs; refused"
    );
    assert_eq!(told.iter().count(), 1);
}

#[test]
fn a_machine_that_goes_by_itself_is_given_its_time() {
    let (restart, told) = told();
    let force = Force::arm(Duration::from_secs(3600), || (), restart).unwrap();
    force
        .word
        .send(Hurry::After(Duration::from_secs(3600)))
        .unwrap();
    let waited = told.recv_timeout(Duration::from_millis(50));
    assert_eq!(waited, Err(mpsc::RecvTimeoutError::Timeout));
    force.word.send(Hurry::Now).unwrap();
    told.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn a_deadline_restarts_unless_it_is_called_off_or_forbidden() {
    let armed = |left| {
        let (tell, told) = mpsc::channel();
        let (said, restarted) = (tell.clone(), tell);
        let say = move |severity: Severity, _| {
            let _ = said.send(severity.word());
        };
        let restart = move || {
            let _ = restarted.send("restart");
            "refused".to_owned()
        };
        (Deadline::arm(left, say, restart), told)
    };
    let (late, told) = armed(Duration::from_millis(20));
    let seen: Vec<_> = told.iter().collect();
    assert_eq!(seen, ["EMERG", "restart", "CRIT"]);
    late.wait();
    let (stopped, told) = armed(Duration::from_secs(3600));
    stopped.call_off();
    assert_eq!(told.recv(), Err(mpsc::RecvError));
    let (forbidden, told) = armed(Duration::from_millis(300));
    forbidden.forbid();
    assert_eq!(told.iter().collect::<Vec<_>>(), ["CRIT"]);
    for ended in [stopped, forbidden] {
        ended.wait();
    }
}

/// There is no memory, or no free process id.
#[actix::test]
async fn without_a_thread_the_kernel_is_asked_at_once() {
    let no_thread = || Err(std::io::Error::from_raw_os_error(libc::EAGAIN));
    for haste in [Haste::None, Haste::Synced, Haste::Utmost] {
        let (restart, told) = told();
        let done = restart_by(haste, &[], ACCEPTED, |_| no_thread(), restart).await;
        assert_eq!(done, "refused");
        told.try_recv().unwrap();
    }
}

/// The test of the timer itself is beside its code; there is one per process.
#[test]
fn a_deadline_without_a_thread_and_a_timer_is_waited_for() {
    let long = Monotonic::from_duration(Duration::from_secs(3600));
    let deadline = |due| Deadline {
        forbidden: Arc::default(),
        kept_by: Keeper::Nobody(Clock::start(), due),
    };
    let called_off = deadline(long);
    called_off.call_off();
    called_off.wait();
    let forbidden = deadline(long);
    forbidden.forbid();
    forbidden.wait();
}

/// The tests run in the first PID namespace of some machine, or in that of a container.
/// `restart_by_kernel` is not called here: only hosts of the lab do that, which have their own.
#[test]
fn a_program_built_for_tests_knows_where_it_runs() {
    let name = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let name = name.to_string_lossy();
    assert!(name.starts_with("pid:["), "{name}");
    assert_eq!(owns_the_machine(), name == "pid:[4026531836]");
}
