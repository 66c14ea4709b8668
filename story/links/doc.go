// Package links holds the negatives of both patterns, as a table: every link
// of the chain, the step that breaks without it, who refuses and which
// document is to blame. Its tests start from a working chain, take one link
// away through AWS's public APIs, run the whole chain with real clients, and
// see that exactly that step breaks and that strait explain names the link;
// then they put it back and see all of it work again.
//
// A link that is redundant in a variant is in the table, too, and is shown to
// break nothing there.
//
// Begin with the tables in table_test.go.
package links
