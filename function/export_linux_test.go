package function

// For tests of what cannot be seen from outside.
var ClaimBlock = claimBlock
