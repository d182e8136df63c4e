package grace

import (
	"strconv"
	"time"
)

// A HUP is a reload to a service manager, which waits for its end (Type=notify-reload, since systemd 253): RELOADING=1 with the
// time at which it began, then READY=1, whatever came of it. Other handovers are none: nobody waits for them, and a unit that is
// reloading for the length of an update's probation would keep those waiting who then ask for a reload.

// reloadSlack is how much longer the manager is asked to wait than we mean to take.
const reloadSlack = 30 * time.Second

// keepHangup notes a HUP, to be run when the handover under way is over. The manager is told now: it waits for a sign that its HUP was heard.
func (p *Process) keepHangup() {
	if s := p.State(); s != Serving && !p.hangupKept {
		p.log.Info("HUP kept: it runs after the commit", "generation", p.generation, "state", s.String())
	}
	p.hangupKept = true
	p.beginReload()
}

// dropHangup forgets the HUP that was kept: what it asks for has just failed.
func (p *Process) dropHangup() {
	if p.hangupKept {
		p.log.Warn("HUP dropped: the handover before it was undone", "generation", p.generation)
	}
	p.hangupKept = false
}

// beginReload says that a reload has begun, once.
func (p *Process) beginReload() {
	if p.reloading || !p.manager.followsUs() || p.State() == Starting {
		return
	}
	p.reloading = true
	p.manager.tell("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic().Microseconds(), 10),
		extend(p.o.StartTimeout+reloadSlack))
}

// extendReload passes on a successor's wish for more time to start.
func (p *Process) extendReload() {
	if p.reloading {
		p.manager.tell(extend(p.o.StartTimeout + reloadSlack))
	}
}

// endReload says that the reload has ended, if one is under way and no other HUP is kept.
func (p *Process) endReload() {
	if p.reloading && !p.hangupKept {
		p.reloading = false
		p.manager.tell("READY=1")
	}
}
