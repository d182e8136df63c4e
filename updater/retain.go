package updater

// mostKept is how many versions are kept, that which runs included.
const mostKept = 4

// retain chooses which of the kept versions stay, newest first.
func (u *Updater) retain(list []Kept) []Kept { return list[:min(len(list), mostKept)] }
