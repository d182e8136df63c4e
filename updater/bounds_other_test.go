//go:build !linux

package updater

const boundsMemory = false
