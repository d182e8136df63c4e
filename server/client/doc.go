// Package client asks a running server, over its admin socket: docs/reference/admin-api.md has every request and answer.
//
//	list, err := admin.Instances(stateDir) // which servers are there?
//	c := client.New(list[0].Admin)
//	status, err := c.Status(ctx)
//	outcome, err := c.Upgrade(ctx, admin.Request{}, func(e updater.Event) { fmt.Println(e.Phase) })
//
// What the server refuses comes back as an *admin.Failure. A socket that is missing for a moment, while a server
// restarts, is dialed again for up to [Patience].
//
// # Through handovers and crashes
//
// A request that was sent is never sent twice. [Client.Upgrade], [Client.Rollback] and [Client.Restart] follow what they have asked for to its end: the process
// that was asked tells the verdict before it drains. If it is killed meanwhile, they ask whoever has the socket then, by the ID of the attempt in status and
// history; a server that was started anew has another socket, which [Client.Locate] finds. If nobody answers any more, the error is a
// *[CutError] with that ID. [Client.Events] goes on with the successor where the process before it has ended.
//
// # A checker of new versions
//
// On probation the verdict may come from outside: a program that looks at the service as its users do votes by [Client.Vote], and an ill vote brings
// the version before back.
//
//	for e, err := range c.Events(ctx, "") {
//		if err != nil {
//			return err
//		}
//		if s := e.State; s != nil && s.Step == string(grace.StepStandby) && !looksGood() {
//			c.Vote(ctx, admin.Vote{Checker: "smoke", Ill: true, Reason: "the front page is blank"})
//		}
//	}
package client
