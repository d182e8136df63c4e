//go:build unix

package server

import "github.com/moult-go/moult/updater"

func handoverOf(h handover) updater.Handover { return h }
