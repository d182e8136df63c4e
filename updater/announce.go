package updater

// Announce writes into the state file where the server that holds the update lock can be asked: the path of its admin socket. It is for scripts
// and people who look there. Of several servers of one executable only that one is named; each has an instance.json of its own, which a
// server has as well whose state directory cannot be written. Without the lock it does nothing.
func (u *Updater) Announce(socket string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.held || u.state.Admin == socket { // over a handover it stays the same
		return nil
	}
	u.state.Admin = socket
	return u.save(false) // no server survives a power cut
}
