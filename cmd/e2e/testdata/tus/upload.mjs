// Uploads a file with tus-js-client as it comes from npm, and prints what happened as one JSON document.
// The argument is a JSON document: endpoint, file, headers, filetype and what is to be done.
import fs from 'node:fs'
import crypto from 'node:crypto'
import * as tus from 'tus-js-client'

const job = JSON.parse(process.argv[2])
const requests = [] // "METHOD status" of every request
let url = null
let spoiled = false

// spoil changes one request, to see what the client makes of the answer.
function spoil(req) {
  if (spoiled || req.getMethod() !== 'PATCH') return
  if (job.do === 'wrong-offset') req.setHeader('Upload-Offset', '4242')
  else if (job.do === 'wrong-checksum') req.setHeader('Upload-Checksum', 'sha1 ' + crypto.createHash('sha1').update('other bytes').digest('base64'))
  else return
  spoiled = true
}

function done(result) {
  console.log(JSON.stringify({ url, requests, ...result }))
  process.exit(0)
}

const upload = new tus.Upload(fs.createReadStream(job.file), {
  endpoint: job.endpoint,
  headers: job.headers,
  metadata: { filename: 'file', filetype: job.filetype },
  uploadSize: fs.statSync(job.file).size,
  chunkSize: job.chunkSize || Infinity,
  uploadDataDuringCreation: job.do === 'with-creation',
  overridePatchMethod: job.do === 'override-method',
  ...(job.urls ? { urlStorage: new tus.FileUrlStorage(job.urls) } : {}),
  fingerprint: async () => 'the-upload',
  retryDelays: Array(20).fill(20), // the client begins to count again whenever it got further
  onBeforeRequest: spoil,
  onAfterResponse: (req, res) => { requests.push(`${req.getMethod()} ${res.getStatus()}`) },
  onShouldRetry: (err) => {
    const status = err.originalResponse ? err.originalResponse.getStatus() : 0
    return status === 0 || status === 409 || status === 460 || status >= 500
  },
  onUploadUrlAvailable: () => { url = upload.url },
  onChunkComplete: async () => {
    if (job.do !== 'abort' && job.do !== 'pause') return
    await upload.abort(job.do === 'abort') // true: and the server is to forget it
    done({ ended: job.do })
  },
  onError: (err) => done({ error: String(err) }),
  onSuccess: () => done({ ended: 'success' }),
})

if (job.do === 'resume') {
  const previous = await upload.findPreviousUploads()
  if (previous.length !== 1) done({ error: `${previous.length} previous uploads` })
  upload.resumeFromPreviousUpload(previous[0])
}
upload.start()
