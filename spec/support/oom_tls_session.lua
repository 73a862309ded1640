-- What runs while memory fails (spec/support/oom.c): reads by TLS, from a server
-- with a good certificate and from servers that must never be believed.
-- Arguments: the authority's file, the URLs, the good one first.

local ca_file, good = ...
local bad = { select(3, ...) }
local core = require "taskclient.core"

-- each on a connection of its own: the later ones resume the first one's session
local function read(url, times)
  local client = assert(core.client("linkis", { url = url, ca_file = ca_file }, {}))
  local value, err
  for _ = 1, times or 1 do
    local call = assert(client:start("get", { id = "7" }, { timeout = 10, fresh = true }))
    while not call:done() do core.step(0.2) end
    value, err = call:result()
  end
  client:close()
  return value, err
end

local function everything()
  local value, err = read(good, 3)
  for _, url in ipairs(bad) do
    local fine, got = pcall(read, url)
    if fine and got then os.exit(99) end -- believed: a status that is no other
  end
  assert(value, err)
end

-- luacheck: globals arm disarm
arm()
local ok, err = pcall(everything)
disarm()
collectgarbage()
if not ok then error(err, 0) end
