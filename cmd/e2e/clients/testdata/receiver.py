"""Stay logged in; download every file whose link arrives as a message, and print one line of JSON for each.

usage: receiver.py HOST PORT JID PASSWORD CAFILE READYFILE
"""
import asyncio
import hashlib
import json
import ssl
import sys
import urllib.parse
import urllib.request

import slixmpp


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca, ready):
        super().__init__(jid, password)
        self.ca, self.ready = ca, ready
        self.register_plugin("xep_0066")
        self.register_plugin("xep_0199", {"keepalive": True, "interval": 20})
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
        result = {"url": url, "from": msg["from"].full, "name": urllib.parse.unquote(url.rsplit("/", 1)[1])}
        try:
            result.update(await asyncio.get_running_loop().run_in_executor(None, self.download, url))
        except Exception as e:
            result["error"] = repr(e)
        print(json.dumps(result), flush=True)

    def download(self, url):
        ctx = ssl.create_default_context(cafile=self.ca)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ctx))
        h, n = hashlib.sha256(), 0
        with opener.open(url, timeout=30) as r:
            while True:
                b = r.read(1 << 16)
                if not b:
                    return {"sha256": h.hexdigest(), "size": n}
                h.update(b)
                n += len(b)


host, port, jid, password, ca, ready = sys.argv[1:7]
c = Client(jid, password, ca, ready)
c["feature_mechanisms"].unencrypted_scram = True
c.connect((host, int(port)), force_starttls=False, disable_starttls=True)
c.loop.run_forever()
