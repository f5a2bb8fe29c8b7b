package main

// refusals say what the problem is that comes with a status.
func refusals() map[int]string {
	return map[int]string{
		400: "What is asked for is not understood",
		401: "Nothing, or something wrong, shows who asks",
		403: "It is not for those who show nothing, or a page of another origin asks for it",
		404: "There is no such thing",
		408: "The body did not arrive",
		409: "It does not go with how things are",
		412: "The configuration is not the one that If-Match names",
		413: "The body is larger than 64 KB",
		415: "The Content-Type is not what a change takes: application/json, or text/plain for a section",
		421: "The Host is not one of this listener",
		422: "It was tried, or checked, and does not work: the old state stays",
		428: "If-Match is missing",
		429: "The limit of the listener is reached",
		500: "It failed",
		502: "An instance refuses it, or does not answer",
		503: "Not now: the agent stops, does not answer within 4 s, or is asked by too many",
		504: "It took too long",
		507: "Done, and lost at the next restart: it could not be stored",
	}
}
