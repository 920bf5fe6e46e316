package control

// Call is call, for the fuzz test.
var Call = call
