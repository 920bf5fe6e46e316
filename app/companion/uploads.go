package companion

import (
	"encoding/json"
	"slices"

	"holdfast/app/agent"
	"holdfast/app/history"
	"holdfast/app/words"
	"holdfast/detect/client"
	"holdfast/relay"
)

// uploadOf is an upload of the relay as views see it.
func uploadOf(u relay.Upload, w *words.Words) agent.Upload {
	out := agent.Upload{
		ID: u.ID, Host: u.Host, File: u.File, URL: history.Public(u.URL),
		Client: client.Parse(u.UserAgent).Name,
		Size:   u.Size, Sent: u.Sent, State: string(u.State),
		Started: u.Started.Round(0), Ended: u.Ended.Round(0),
		Repeats: u.Repeats, Resigned: u.Resigned, Reason: u.Reason,
	}
	if u.State != relay.Done {
		out.Error = w.UploadReason(u.Reason, u.Host, u.Detail)
	}
	return out
}

// noticeOf is what the relay has to say about a server, as an event of the agent.
func noticeOf(n relay.Notice, w *words.Words) agent.Event {
	switch n.Kind {
	case relay.ClockWrong:
		return agent.Raised{Issue: agent.Issue{Code: agent.ClockWrong, Args: []string{n.Host, w.Ahead(n.Ahead)}}}
	case relay.ClockRight:
		return agent.Cleared{Code: agent.ClockWrong, Args: []string{n.Host}}
	case relay.DeviceRevoked:
		return agent.Raised{Issue: agent.Issue{Code: agent.DeviceRevoked, Args: []string{n.Host}}}
	case relay.DeviceMade:
		return agent.Cleared{Code: agent.DeviceRevoked, Args: []string{n.Host}}
	}
	return agent.Elapsed{}
}

// listUploads is the document of Uploads: running ones before past ones, newest first; a limit of 0 is none.
func listUploads(active []relay.Upload, past []agent.Upload, limit uint32, w *words.Words) (string, error) {
	list := agent.UploadList{Schema: 1, Uploads: []agent.Upload{}}
	for _, u := range active {
		list.Uploads = append(list.Uploads, uploadOf(u, w))
	}
	for _, u := range past {
		if !slices.ContainsFunc(list.Uploads, func(r agent.Upload) bool { return r.ID == u.ID }) {
			list.Uploads = append(list.Uploads, u)
		}
	}
	if limit > 0 && uint64(len(list.Uploads)) > uint64(limit) {
		list.Uploads = list.Uploads[:limit]
	}
	return render(list)
}

func render(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}
