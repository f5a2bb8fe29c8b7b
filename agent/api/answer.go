package api

// A ServerRow is one endpoint of a backend, and where it is.
type ServerRow struct {
	ServerRef
	Name  string `json:"name,omitempty"`
	State string `json:"state"`
	// Override is what an operator asked of it, in words.
	Override  string         `json:"override,omitempty"`
	Instances []InstanceSlot `json:"instances"`
}

// An AddressRow is one address, and every endpoint that has it.
type AddressRow struct {
	Address string      `json:"address"`
	Servers []ServerRow `json:"servers"`
}

// A ReloadAnswer says whether HAProxy has to be reloaded, and what came of the
// last times.
type ReloadAnswer struct {
	Needed  bool                   `json:"needed"`
	Needs   map[string]*NeedReload `json:"needs"` // by backend
	Reloads []ReloadStatus         `json:"reloads"`
}

// A CheckAnswer is what the check of a configuration said.
type CheckAnswer struct {
	OK    bool   `json:"ok"`
	Words string `json:"words"`
}

// A SectionAnswer is what an edit changes, and with which reload.
type SectionAnswer struct {
	// Diff is a unified diff of the template if there is one, else of the file;
	// "" if the section is that already.
	Diff string `json:"diff"`
	// Reloads are how they are after it; empty after a dry run.
	Reloads []ReloadStatus `json:"reloads"`
}

// A RawAnswer is what HAProxy said to it.
type RawAnswer struct {
	Reply string `json:"reply"`
}

// A Problem is an error as RFC 9457 writes it.
type Problem struct {
	Type   string `json:"type"`   // always "about:blank": the status says it all
	Title  string `json:"title"`  // the status in words
	Status int    `json:"status"` // of HTTP
	Detail string `json:"detail"` // what went wrong, for people
}
