package main

import (
	"errors"
	"fmt"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

func endGroup(pid int, firstDone <-chan struct{}) { <-firstDone }

func sendHangup(int) error { return fmt.Errorf("HUP on windows: %w", errors.ErrUnsupported) }
