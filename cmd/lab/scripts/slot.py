"""Ask an XMPP server for XEP-0363 slots; prints one JSON object a line.

usage: slot.py HOST PORT JID PASSWORD < lines of {"service", "filename", "size", "content_type" or null}
"""
import asyncio
import json
import sys
import time

import slixmpp
from slixmpp.xmlstream import ET

NS = "urn:xmpp:http:upload:0"


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, requests):
        super().__init__(jid, password)
        self.requests = requests
        self.ok = False
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("failed_auth", lambda e: self.disconnect())

    async def start(self, _):
        for r in self.requests:
            q = ET.Element("{%s}request" % NS, {"filename": r["filename"], "size": str(r["size"])})
            if r.get("content_type") is not None:
                q.set("content-type", r["content_type"])
            iq = self.make_iq_get(ito=r["service"])
            iq.append(q)
            o = dict(r)
            o["issued_at"] = int(time.time())
            try:
                res = await iq.send(timeout=10)
                slot = res.xml.find("{%s}slot" % NS)
                put = slot.find("{%s}put" % NS)
                o["put"] = put.get("url")
                o["get"] = slot.find("{%s}get" % NS).get("url")
                o["headers"] = {h.get("name"): h.text for h in put.findall("{%s}header" % NS)}
            except slixmpp.exceptions.IqError as e:
                o["error"] = str(e.iq)
            except slixmpp.exceptions.IqTimeout:
                o["error"] = "timeout"
            print(json.dumps(o, ensure_ascii=False), flush=True)
        self.ok = True
        self.disconnect()


def main():
    host, port, jid, password = sys.argv[1:5]
    c = Client(jid, password, [json.loads(line) for line in sys.stdin if line.strip()])
    c["feature_mechanisms"].unencrypted_scram = True
    c.connect((host, int(port)), force_starttls=False, disable_starttls=True)
    c.loop.run_until_complete(asyncio.wait_for(c.disconnected, 40))
    sys.exit(0 if c.ok else 1)


main()
