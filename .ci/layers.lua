-- Arrows of the house run down only (`make lint`): reads the `require`s of lua/ and the `#include`s
-- of src/, lazy ones included, and refuses what points up, across, or around in a circle.

-- room -> floor, as in doc/design.md; a module's room is its longest prefix here. Rooms of one
-- floor know nothing of each other; "" is what stands beside no room.
local FLOORS = {
  lua = {
    [""] = 9, core = 0,
    compat = 1, error = 1, options = 1, state = 1, types = 1, text = 2,
    host = 3, ui = 3, rpc = 4, report = 4, client = 5, job = 5, linkis = 6, lindorm = 6,
    workflow = 7, run = 8, sandbox = 10,
  },
  src = { base = 1, json = 2, net = 2, server = 3, table = 3, lua = 4 },
}
-- within the floor of what all may use, a module may know another; and so may these two
local OPEN = { error = true, options = true, compat = true }

local complaints = 0
local function complain(...)
  complaints = complaints + 1
  print(string.format(...))
end

local function room_of(floors, name)
  local first = name:match "^[^./]*"
  return floors[first] and first or ""
end

-- file -> list of what it knows, as names
local function lua_arrows(path)
  local list, text = {}, assert(io.open(path)):read "a"
  for _, before in ipairs { "require%s*%(?%s*", "package%.loaded%[" } do
    for name in text:gmatch(before .. "[\"']taskclient%.([%w_.]+)[\"']") do
      list[#list + 1] = name
    end
  end
  return list
end

local function c_arrows(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line:match '^#include "([^"]+)%.h"' end
  return list
end

local function walk(kind, command, name_of, arrows)
  local floors, graph, files = FLOORS[kind], {}, assert(io.popen(command))
  for path in files:lines() do
    local name = name_of(path)
    local room = room_of(floors, name)
    graph[name] = graph[name] or {}
    for _, target in ipairs(arrows(path)) do
      local to = room_of(floors, target)
      if to ~= room and not OPEN[to] and floors[to] >= floors[room] then
        complain("%s: knows %s, which is not below it", path, target)
      end
      if target ~= name then table.insert(graph[name], target) end
    end
  end
  files:close()
  return graph
end

local function circles(graph)
  local state = {}
  local function visit(name, trail)
    if state[name] == "done" or not graph[name] then return end
    if state[name] then return complain("a circle: %s -> %s", trail, name) end
    state[name] = "open"
    for _, target in ipairs(graph[name]) do visit(target, trail .. " -> " .. name) end
    state[name] = "done"
  end
  for name in pairs(graph) do visit(name, "") end
end

circles(walk("lua", "find lua -name '*.lua' | sort", function(path)
  return (path:gsub("^lua/taskclient/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end, lua_arrows))
circles(walk("src", "find src -name '*.[ch]' | sort", function(path)
  return (path:gsub("^src/", ""):gsub("%.[ch]$", ""))
end, c_arrows))
print(complaints == 0 and "layers: fine" or complaints .. " arrows that do not run down")
os.exit(complaints == 0)
