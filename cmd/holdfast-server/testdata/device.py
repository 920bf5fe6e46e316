"""A device as somebody else would write it: Python, and openssl for the signature.

Reads {"base", "public", "enrol", "bob", "late": [...], "bobs"} from standard input, each slot {"url", "authorization"} of five bytes, and
prints one line for each thing tried: what, status, Holdfast-Error."""
import base64, hashlib, http.client, json, os, secrets, subprocess, sys, tempfile, time, urllib.parse

job = json.load(sys.stdin)
host = urllib.parse.urlsplit(job["base"]).netloc
origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(job["public"]))
api = urllib.parse.urlsplit(job["public"]).path + ".holdfast/v1/"


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def ask(method, path, headers, body):
    c = http.client.HTTPConnection(host, timeout=20)
    c.request(method, path, body, headers)
    r = c.getresponse()
    return r.status, r.headers.get("Holdfast-Error", "-"), r.read()


class Device:
    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(suffix=".pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.file.name], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.file.name, "-pubout", "-outform", "DER"], check=True, capture_output=True)
        self.x = b64(der.stdout[-32:])
        self.access = None

    def proof(self, method, path):
        header = {"typ": "dpop+jwt", "alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": self.x}}
        claims = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": origin + path.split("?")[0], "iat": int(time.time())}
        if self.access:
            claims["ath"] = b64(hashlib.sha256(self.access.encode()).digest())
        text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
        with tempfile.NamedTemporaryFile() as f:
            f.write(text.encode())
            f.flush()
            sig = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.file.name, "-in", f.name], check=True, capture_output=True)
        return text + "." + b64(sig.stdout)

    def enrol(self, slot):
        body = json.dumps({"slot": {"url": slot["url"], "size": 5, "type": "text/plain", "authorization": slot["authorization"]}})
        status, code, answer = ask("POST", api + "token", {"DPoP": self.proof("POST", api + "token")}, body)
        print("enrol", status, code)
        if status == 200:
            self.access = json.loads(answer)["access_token"]
            return json.loads(answer)["device"]

    def put(self, what, slot):
        u = urllib.parse.urlsplit(slot["url"])
        path = u.path + ("?" + u.query if u.query else "")
        headers = {"Content-Type": "text/plain", "Authorization": "DPoP " + self.access, "DPoP": self.proof("PUT", path),
                   "Holdfast-Slot-Authorization": slot["authorization"]}
        print(what, *ask("PUT", path, headers, b"hello")[:2])


def bare(what, slot):
    u = urllib.parse.urlsplit(slot["url"])
    path = u.path + ("?" + u.query if u.query else "")
    print(what, *ask("PUT", path, {"Content-Type": "text/plain", "Authorization": slot["authorization"]}, b"hello")[:2])


mine, others = Device(), Device()
device = mine.enrol(job["enrol"])
others.enrol(job["bob"])
for i, slot in enumerate(job["late"]):
    bare("without", slot)
    others.put("others", slot)
    mine.put("mine", slot)
print("device", device)
sys.stdout.flush()
os.read(int(job["revoked"]), 1)  # until the admin has revoked it
mine.put("revoked", job["last"])
