-- Certificates of a test authority, and TLS servers that show them
-- (`openssl s_server`), each giving one good reply to any read.

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local M = {}
local Authority = {}
Authority.__index = Authority

local KEY = { "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes" }

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function openssl(...)
  local code, _, err = process.run { "openssl", ... }
  assert(code == 0, err)
end

---A fresh authority in a folder of its own; stop() removes everything.
function M.authority()
  local self = setmetatable({ dir = process.tempdir(), servers = {} }, Authority)
  self.ca = self.dir .. "/ca.pem"
  local unpack = table.unpack or unpack -- luacheck: ignore 113
  self.ca_key = self.dir .. "/ca.key"
  openssl("req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", self.ca_key,
    "-out", self.ca, unpack(KEY))
  return self
end

---A certificate signed by the authority: paths of certificate and key.
---opts: names (subjectAltName, default the loopback address), days.
function Authority:certificate(name, opts)
  local unpack = table.unpack or unpack -- luacheck: ignore 113
  local base = self.dir .. "/" .. name
  openssl("req", "-subj", "/CN=" .. name, "-keyout", base .. ".key", "-out", base .. ".csr",
    unpack(KEY))
  write(base .. ".ext", "subjectAltName=" .. (opts and opts.names or "IP:127.0.0.1") .. "\n")
  openssl("x509", "-req", "-in", base .. ".csr", "-CA", self.ca, "-CAkey", self.ca_key,
    "-CAcreateserial", "-days", tostring(opts and opts.days or 2), "-extfile", base .. ".ext",
    "-out", base .. ".pem")
  return base .. ".pem", base .. ".key"
end

---A server with that certificate; more: further arguments of s_server, the first of
---them "-www" for a page about the connection in place of the reply.
---@return string url
function Authority:serve(cert, key, more)
  local dir = process.tempdir()
  local folder = dir .. "/api/rest_j/v1/jobhistory/7"
  os.execute("mkdir -p " .. folder)
  write(folder .. "/get", fault.envelope { ok = true })
  local argv = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key }
  if not more or more[1] ~= "-www" then argv[#argv + 1] = "-WWW" end
  for _, word in ipairs(more or {}) do argv[#argv + 1] = word end
  local child = process.start(argv, { dir = dir })
  self.servers[#self.servers + 1] = { child = child, dir = dir }
  local port = wait.eventually(function()
    return child:out():match "ACCEPT [%d.]+:(%d+)"
  end, 10, "the TLS server")
  return "https://127.0.0.1:" .. port
end

function Authority:stop()
  for _, server in ipairs(self.servers) do
    server.child:stop()
    os.execute("rm -rf " .. process.quote(server.dir))
  end
  os.execute("rm -rf " .. process.quote(self.dir))
end

return M
