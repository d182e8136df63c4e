package grace

import "golang.org/x/sys/windows"

var errRefused = windows.WSAECONNREFUSED
