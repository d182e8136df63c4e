package grace

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// What a supervisor is told: the service manager in notices, everybody else in the pid file. STATUS says in a line who serves.
//
// STOPPING=1 is said only where the service as a whole stops: from a predecessor it would end the whole unit, successor included (and since
// systemd 259 nothing takes it back).

func status(format string, a ...any) string { return "STATUS=" + fmt.Sprintf(format, a...) }

// extend asks the manager for as much time from now on.
func extend(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}

// announceReady is said by generation 1.
func (p *Process) announceReady() {
	p.manager.tell("READY=1", status("generation %d serves", p.generation))
}

// announce tells of a step of a handover, as seen by the predecessor.
func (p *Process) announce(s Step, c *child) {
	n, next := p.generation, c.generation
	switch s {
	case StepSpawned:
		p.manager.tell(status("generation %d serves, generation %d starts as pid %d", n, next, c.pid))
	case StepStandby:
		lines := []string{status("generation %d serves on probation as pid %d, generation %d stands by", next, c.pid, n)}
		if p.reloading {
			lines = append(lines, extend(max(p.o.Probation, p.o.UpdateProbation)+reloadSlack))
		}
		p.manager.tell(lines...)
	case StepRolledBack:
		p.manager.tell(status("generation %d serves, generation %d was undone", n, next))
		if p.awaitHangup == nil {
			p.endReload()
		}
	case StepResurrected:
		p.reloading = false
		p.takeOver()
		// Under NotifyAccess=main the manager hears nobody until the next start: the process that it follows is dead.
		p.manager.tell(p.mainPID(), "READY=1", status("generation %d serves again, generation %d died", n, next))
	}
}

// announceReplaced moves MAINPID at COMMIT. In the same datagram it ends a reload, unless a kept HUP, passed on, goes on with it;
// and it pings once more, so that the successor has a whole interval to begin.
func (p *Process) announceReplaced(c *child, passed bool) {
	if p.manager == nil {
		return
	}
	lines := []string{"MAINPID=" + strconv.Itoa(c.pid)}
	if p.reloading && !passed {
		lines = append(lines, "READY=1")
	}
	if p.manager.watchdog > 0 {
		lines = append(lines, "WATCHDOG=1")
	}
	p.reloading = false
	lines = append(lines, status("generation %d serves, generation %d drains %d connections", c.generation, p.generation, p.conns.count()))
	p.manager.handOver(func() { c.link.send(newMessage(msgFollowed)) }, lines...)
}

// announceOrphaned is said by a successor whose predecessor died before COMMIT.
func (p *Process) announceOrphaned() {
	p.manager.hear()
	p.takeOver()
	p.manager.tell(p.mainPID(), "READY=1", status("generation %d serves, its predecessor died", p.generation))
}

func (p *Process) mainPID() string { return "MAINPID=" + strconv.Itoa(os.Getpid()) }

// announceAlone is said when the predecessor has drained.
func (p *Process) announceAlone() {
	p.manager.hear() // it told us before, or died and cannot
	if p.State() == Serving {
		p.manager.tell(status("generation %d serves", p.generation))
	}
}

// announceStop is said when the service as a whole stops. The manager's own stop timeout need not be as long as the drain deadline.
func (p *Process) announceStop() {
	lines := []string{"STOPPING=1", status("generation %d drains %d connections and stops", p.generation, p.conns.count())}
	if p.o.DrainTimeout >= 0 {
		lines = append(lines, extend(p.o.DrainTimeout+lastStand+reloadSlack))
	}
	p.manager.tell(lines...)
}

// takeOver makes this process the one that supervisors know: nobody is left who could take its place back.
func (p *Process) takeOver() {
	p.parent.nameServing() // at COMMIT before it is acknowledged: the predecessor is not gone before the parent can know
	if err := p.pidFile.write(); err != nil {
		p.log.Error("pid file", "generation", p.generation, "err", err)
	}
	p.manager.takeOver()
}

// dismiss ends what supervisors know of this process: it waits until the manager has read who follows.
func (p *Process) dismiss() {
	if err := p.pidFile.remove(); err != nil {
		p.log.Error("pid file", "generation", p.generation, "err", err)
	}
	p.manager.close()
}
