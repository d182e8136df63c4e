// Package role tells a process in which role its own executable was started.
//
// A server built with moult starts its own executable, or a newer one, in four roles beside the usual one:
//
//   - first generation: serves below a parent that stays, which a supervisor knows (package grace);
//   - successor: takes over the sockets of a running generation (package grace);
//   - stage: writes and checks a candidate in a short-lived child, so that the memory and any panic stay
//     out of the server (package updater);
//   - proof: shows that a candidate starts at all, by answering with a [Report] (package updater asks).
//
// The role is told by one environment variable, [Env], which is bound to an inherited descriptor: the value
// holds device and inode of descriptor [First], and is inert unless that very object is there. So a variable
// left behind in some environment makes no heir of a program that merely inherits it. Package init reads and
// unsets the variable and sets close-on-exec on the inherited descriptors, nothing more; [Act] does the work
// of the stage and proof roles and exits. grace.New, updater.New, server.Run and command.Main call it, so
// they must come before the program opens anything.
//
// The package stands below both grace and updater, which do not import each other. Standard library only.
package role
