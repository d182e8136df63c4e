package path

import (
	"errors"
	"time"

	"github.com/moult-go/moult/updater"
)

// Hurry changes how long s waits.
func Hurry(s updater.Source, poll, rest, patience time.Duration) {
	src := s.(*Source)
	src.poll, src.rest, src.patience = poll, rest, patience
}

// NoEvents takes s the events of the file system, as a remote one does.
func NoEvents(s updater.Source) {
	s.(*Source).listen = func() (*directories, error) { return &directories{}, errors.New("no watches left") }
}

var Chain = chain

// LoseEvents lets s get nothing from the file system but what comes over errs.
func LoseEvents(s updater.Source, errs <-chan error) {
	s.(*Source).listen = func() (*directories, error) { return &directories{errs: errs}, nil }
}
