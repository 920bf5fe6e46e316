"""Log in, wait for one message with a link to a file, download it, print what came as JSON.

usage: receive.py HOST PORT JID PASSWORD CAFILE READYFILE
READYFILE is written once the session is up, so that a sender knows when to send.
"""
import asyncio
import hashlib
import json
import ssl
import sys
import urllib.request

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca, ready):
        super().__init__(jid, password)
        self.ca, self.ready, self.result = ca, ready, None
        self.register_plugin("xep_0066")
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("message", self.message)

    async def start(self, _):
        self.send_presence()
        await self.get_roster()
        with open(self.ready, "w") as f:
            f.write("ready\n")

    async def message(self, msg):
        url = msg["oob"]["url"] or msg["body"]
        if not url.startswith("https://"):
            return
        loop = asyncio.get_running_loop()
        try:
            self.result = await loop.run_in_executor(None, self.download, url)
        except Exception as e:
            self.result = {"error": repr(e)}
        self.result.update({"url": url, "oob": msg["oob"]["url"], "from": msg["from"].bare})
        self.disconnect()

    def download(self, url):
        ctx = ssl.create_default_context(cafile=self.ca)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ctx))
        h, n = hashlib.sha256(), 0
        with opener.open(url, timeout=30) as r:
            while True:
                b = r.read(1 << 16)
                if not b:
                    break
                h.update(b)
                n += len(b)
            return {"sha256": h.hexdigest(), "size": n, "status": r.status, "type": r.headers.get("Content-Type")}


def main():
    host, port, jid, password, ca, ready = sys.argv[1:7]
    c = Client(jid, password, ca, ready)
    c["feature_mechanisms"].unencrypted_scram = True
    c.connect((host, int(port)), force_starttls=False, disable_starttls=True)
    c.loop.run_until_complete(asyncio.wait_for(c.disconnected, 120))
    print(json.dumps(c.result))
    sys.exit(0 if c.result and "error" not in c.result else 1)


main()
