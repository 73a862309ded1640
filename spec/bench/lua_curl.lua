-- The peer of calls.lua that a Lua script would write by hand: Debian's lua-curl
-- and lua-cjson, one handle used again. Prints CPU microseconds a call.
-- lua5.1 spec/bench/lua_curl.lua URL calls

local cjson = require "cjson"
local curl = require "curl"

local url, calls = arg[1], tonumber(arg[2])
local parts
local easy = curl.easy_init()
easy:setopt(curl.OPT_PROXY, "")
easy:setopt(curl.OPT_NOSIGNAL, 1)
easy:setopt(curl.OPT_WRITEFUNCTION, function(bytes, n)
  parts[#parts + 1] = bytes
  return n
end)

local function status()
  parts = {}
  easy:setopt(curl.OPT_URL, url)
  easy:perform()
  local reply = cjson.decode(table.concat(parts))
  assert(reply.status == 0 and reply.data.status == "Running")
end

status()
local from = os.clock()
for _ = 1, calls do status() end
print(("%.3f"):format((os.clock() - from) / calls * 1e6))
