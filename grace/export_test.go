package grace

import "time"

// AgeTickets lets the ticket keys of p grow older at once.
func AgeTickets(p *Process, by time.Duration) {
	p.tickets.mu.Lock()
	defer p.tickets.mu.Unlock()
	for i := range p.tickets.keys {
		p.tickets.keys[i].born = p.tickets.keys[i].born.Add(-by)
	}
	p.tickets.schedule()
}
