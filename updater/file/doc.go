// Package file takes an update from one file on disk: for hosts that no network reaches, and for `app upgrade --file`.
//
//	u, err := updater.New(updater.Options{…, Source: file.New("/media/usb/hello_1.4.0_linux_amd64.tar.gz", file.Options{MinisignKey: key})})
//
// The file is an executable or an archive (tar.gz, zip) of one. Beside it lies what says why it may be trusted: NAME.minisig, or a
// file of checksums with its own signature (package updater/assets has the policies). It is read twice, and copied into the state
// directory before anything is made of it, so that it may be on a medium that is taken away.
package file
