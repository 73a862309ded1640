-- Notes which lines of lua/ run, where LUA_INIT names this file (`make coverage`): each process
-- leaves one file in the folder COVER_DIR, of lines "path:line". Slow, and changes nothing else.

local dir = os.getenv "COVER_DIR"
local seen, files = {}, {}

local function note(_, line)
  local source = debug.getinfo(2, "S").source
  local path = files[source]
  if path == nil then
    path = source:match "^@.-(lua/taskclient/.*%.lua)$" or false
    files[source] = path
  end
  if not path then return end
  local lines = seen[path]
  if not lines then
    lines = {}
    seen[path] = lines
  end
  lines[line] = true
end

-- A hook belongs to one coroutine.
local create, wrap = coroutine.create, coroutine.wrap
function coroutine.create(fn)
  local co = create(fn)
  debug.sethook(co, note, "l")
  return co
end
function coroutine.wrap(fn)
  if type(fn) ~= "function" then return wrap(fn) end
  return wrap(function(...)
    debug.sethook(note, "l")
    return fn(...)
  end)
end

local function write()
  local path = ("%s/%d-%d"):format(dir, os.time(), math.floor(os.clock() * 1e6))
    .. tostring(seen):match "0x(%x+)"
  local file = io.open(path, "w")
  if not file then return end
  for name, lines in pairs(seen) do
    for line in pairs(lines) do file:write(name, ":", line, "\n") end
  end
  file:close()
end

debug.sethook(note, "l")
local exit = os.exit
os.exit = function(...)
  write()
  return exit(...)
end
COVER_GUARD = setmetatable({}, { __gc = write }) -- at the end of the state
