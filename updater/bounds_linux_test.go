package updater

const boundsMemory = true
