package control

// Call is call, for the fuzz test.
var Call = call

// DialOwner is dialOwner, to be somebody else.
var DialOwner = dialOwner
