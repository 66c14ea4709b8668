// Package explain holds twenty things and more that people get wrong, as a
// table: each is a step that is refused, and is put right by nothing but what
// strait explain prints. Its tests take the step, read the text as a person
// would, add the statement that it suggests to the document that it names, and
// take the step again.
//
// Begin with the tables in mistakes_test.go and devices_test.go.
package explain
