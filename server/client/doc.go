// Package client asks a running server, over its admin socket: see package admin for the protocol.
//
//	list, err := admin.Instances(stateDir) // which servers are there?
//	c := client.New(list[0].Admin)
//	status, err := c.Status(ctx)
//	outcome, err := c.Upgrade(ctx, admin.Request{}, func(e updater.Event) { fmt.Println(e.Phase) })
//
// What the server refuses comes back as an *admin.Failure. A socket that is missing for a moment, while a server
// restarts, is dialed again for up to [Patience]. A request that was sent is never sent twice: whoever loses the
// connection to an upgrade gets a *[CutError], and asks for the status to learn how it ended.
package client
