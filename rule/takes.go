package rule

// Takes tells whether a message on topic would come to any rule, a disabled
// one or one that Basic Ingest names in vain included: whether there is a story
// to tell of it. It takes no lock and is cheap for topics that no rule takes.
func (e *Engine) Takes(topic string) bool {
	defs, _, basic := e.current().match(topic)
	return len(defs) > 0 || basic != ""
}
