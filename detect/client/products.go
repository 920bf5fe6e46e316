package client

// known are the products that say who a client is. Keys are folded; those with a space are two words of the header.
// It is never written to. A name that two programs share gets the class with the smaller window.
var known = map[string]Client{
	// Desktop
	"dino":        {Kind: Desktop, Name: "Dino"},
	"gajim":       {Kind: Desktop, Name: "Gajim"},
	"profanity":   {Kind: Desktop, Name: "Profanity"},
	"psi":         {Kind: Desktop, Name: "Psi"},
	"psi+":        {Kind: Desktop, Name: "Psi+"},
	"psi-plus":    {Kind: Desktop, Name: "Psi+"},
	"kaidan":      {Kind: Desktop, Name: "Kaidan"},
	"poezio":      {Kind: Desktop, Name: "Poezio"},
	"pidgin":      {Kind: Desktop, Name: "Pidgin"},
	"swift":       {Kind: Desktop, Name: "Swift"},
	"coyim":       {Kind: Desktop, Name: "CoyIM"},
	"beagleim":    {Kind: Desktop, Name: "Beagle IM"},
	"beagle im":   {Kind: Desktop, Name: "Beagle IM"},
	"renga":       {Kind: Desktop, Name: "Renga"},
	"libervia":    {Kind: Desktop, Name: "Libervia"},
	"mcabber":     {Kind: Desktop, Name: "MCabber"},
	"uwpx":        {Kind: Desktop, Name: "UWPX"},
	"thunderbird": {Kind: Desktop, Name: "Thunderbird"},

	// Mobile: Conversations and its family send APP_NAME/VERSION
	"conversations":     {Kind: Mobile, Name: "Conversations"},
	"cheogram":          {Kind: Mobile, Name: "Cheogram"},
	"monocles":          {Kind: Mobile, Name: "monocles chat"},
	"monocles chat":     {Kind: Mobile, Name: "monocles chat"},
	"quicksy":           {Kind: Mobile, Name: "Quicksy"},
	"blabber":           {Kind: Mobile, Name: "blabber.im"},
	"blabber.im":        {Kind: Mobile, Name: "blabber.im"},
	"pix-art messenger": {Kind: Mobile, Name: "Pix-Art Messenger"},
	"snikket":           {Kind: Mobile, Name: "Snikket"},
	"monal":             {Kind: Mobile, Name: "Monal"},
	"quicksy ios":       {Kind: Mobile, Name: "Quicksy"},
	"siskin":            {Kind: Mobile, Name: "Siskin"},
	"siskinim":          {Kind: Mobile, Name: "Siskin"},
	"siskin im":         {Kind: Mobile, Name: "Siskin"},
	"tigase messenger":  {Kind: Mobile, Name: "Tigase Messenger"},
	"chatsecure":        {Kind: Mobile, Name: "ChatSecure"},
	"yaxim":             {Kind: Mobile, Name: "yaxim"},
	"bruno":             {Kind: Mobile, Name: "Bruno"},
	"xabber":            {Kind: Mobile, Name: "Xabber"},
	"android":           {Kind: Mobile, Name: "Android"},
	"dalvik":            {Kind: Mobile, Name: "Android"}, // what Android's own HTTP library says

	// Web: a page cannot set its User-Agent
	"mozilla":     {Kind: Web},
	"converse.js": {Kind: Web, Name: "Converse.js"},
	"conversejs":  {Kind: Web, Name: "Converse.js"},
	"converse":    {Kind: Web, Name: "Converse.js"},
	"movim":       {Kind: Web, Name: "Movim"},

	// Libraries and tools
	"slixmpp":         {Kind: Library, Name: "slixmpp"},
	"go-sendxmpp":     {Kind: Library, Name: "go-sendxmpp"},
	"go-http-client":  {Kind: Library, Name: "Go"}, // go-sendxmpp before it had a name of its own
	"sendxmpp":        {Kind: Library, Name: "sendxmpp"},
	"aiohttp":         {Kind: Library, Name: "aiohttp"},
	"python":          {Kind: Library, Name: "Python"},
	"python-requests": {Kind: Library, Name: "Python"},
	"python-urllib":   {Kind: Library, Name: "Python"},
	"python-httpx":    {Kind: Library, Name: "Python"},
	"curl":            {Kind: Library, Name: "curl"},
	"wget":            {Kind: Library, Name: "Wget"},
	"okhttp":          {Kind: Library, Name: "OkHttp"},
	"libsoup":         {Kind: Library, Name: "libsoup"},
	"cfnetwork":       {Kind: Library, Name: "CFNetwork"},
}
