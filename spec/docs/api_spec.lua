-- doc/api.md tells of every public function, each of which carries its
-- annotations in the source; option tables are told of with all their names.

local api = require "spec.support.api"
local taskclient = require "taskclient"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- What the C side registers for an object, from its table in the source.
local function registered(path, list)
  local names, text = {}, read(path)
  for name in text:match(list .. "(.-){ NULL"):gmatch '{ "([%a][%w_]*)",' do
    names[#names + 1] = name
  end
  return names
end

local function names_of(entries)
  local names = {}
  for i, entry in ipairs(entries) do names[i] = entry.name:gsub("%?$", "") end
  return names
end

describe("doc/api.md", function()
  local document = read "doc/api.md"

  it("has no section that is gone, and lacks none", function()
    local titles, written = {}, {}
    for _, section in ipairs(api.sections()) do titles[#titles + 1] = section.title end
    for title in document:gmatch "\n## ([^\n]+)" do written[#written + 1] = title end
    table.remove(written) -- the tables
    assert.same(titles, written)
  end)

  for _, section in ipairs(api.sections()) do
    it("tells of " .. section.title, function()
      for _, block in ipairs(section.functions) do
        local name = section.prefix .. block.name
        assert(block.text ~= "", block.place .. ": no description of " .. name)
        if not block.private then
          assert(document:find("### `" .. name .. "(" .. table.concat(block.names, ", ")
            :gsub("%.%.%.$", "…") .. ")`", 1, true), name .. " is missing: make doc")
          assert.same(block.names, names_of(block.params), block.place .. ": " .. name)
          local gives = block.source:gsub("return end", ""):find "%f[%w]return [^\n]*%w" ~= nil
          assert(not gives or #block.returns > 0, block.place .. ": nothing is said of what "
            .. name .. " returns")
        end
      end
    end)
  end

  it("tells of all that the core gives clients and calls", function()
    for _, name in ipairs(registered("src/lua/client.c", "luaL_Reg methods")) do
      if name:sub(1, 2) ~= "__" then
        assert(document:find("### `client:" .. name .. "(", 1, true), "client:" .. name)
      end
    end
    for _, name in ipairs(registered("src/lua/call.c", "luaL_Reg methods")) do
      if name:sub(1, 2) ~= "__" then
        assert(document:find("### `call:" .. name .. "(", 1, true), "call:" .. name)
      end
    end
  end)

  it("leaves the sandbox's switches to doc/sandbox.md, which has them all", function()
    local text = read "doc/sandbox.md"
    local INNER = { dir = true, engine_port = true, port = true, lindorm_port = true,
      clears_seen = true, restarts_seen = true, idle_clear = true, entrance_restart = true,
      version = true, lindorm = true }
    for _, part in ipairs { "schema", "lindorm_schema" } do
      for name in pairs(require("taskclient.sandbox." .. part).settings) do
        assert(INNER[name] or text:find("`" .. name .. "`[,| ]"), name .. " is missing")
      end
    end
  end)

  -- The names a function knows, from its own complaint about one it does not know.
  local function known(fn)
    local ok, complaint = pcall(fn, { ["?????????????????????"] = 1 })
    assert.is_false(ok)
    local list = {}
    for name in complaint:match "%(known: (.-)%)":gmatch "[%w_]+" do list[#list + 1] = name end
    assert(#list > 0)
    return list
  end

  local function part(from, to)
    local first = assert(document:find(from, 1, true), from)
    return document:sub(first, (document:find(to, first + #from) or 0) - 1)
  end

  local function each_in(names, text, what)
    for _, name in ipairs(names) do
      assert(text:find("%f[%w_]" .. name .. "%f[^%w_]"), what .. " does not tell of " .. name)
    end
  end

  it("tells of every option of clients, submits and waits", function()
    local linkis = assert(taskclient.linkis { url = "http://127.0.0.1:1" })
    local lindorm = assert(taskclient.lindorm { url = "http://127.0.0.1:1" })
    local job = linkis:attach(1)
    local client = part("### `taskclient.client_options`", "\n### ")
    local CASES = {
      { taskclient.linkis, client .. part("### `taskclient.linkis_options`", "\n### ") },
      { taskclient.lindorm, client .. part("### `taskclient.lindorm_options`", "\n### ") },
      { function(t) linkis:submit(t) end, part("### `taskclient.linkis_spec`", "\n### ") },
      { function(t) lindorm:submit(t) end, part("### `taskclient.lindorm_spec`", "\n### ") },
      { function(t) job:wait(t) end, part("### `taskclient.wait_options`", "\n### ") },
      { function(t) job:logs(t) end, part("### `job:logs(opts)`", "\n### ") },
      { function(t) job:export("x", t) end, part("### `job:export(path, opts)`", "\n### ") },
      { function(t) linkis:list(t) end, part("### `linkis:list(opts)`", "\n### ") },
      { function(t) linkis:call("get", nil, t) end, part("### `client:call(", "\n### ") },
      { taskclient.progress.bar, part("### `taskclient.progress.bar(", "\n### ") },
      { taskclient.printer, part("### `taskclient.printer(", "\n### ") },
      { function(t) taskclient.journal("x", t) end, part("### `taskclient.journal(", "\n### ") },
      { require "taskclient.sandbox".start, part('sandbox").start(', "\n### ") },
      { function(t) linkis:submit_many({}, t) end,
        part("### `taskclient.submit_many_options`", "\n### ")
          .. part("### `taskclient.wait_options`", "\n$") },
    }
    for _, case in ipairs(CASES) do each_in(known(case[1]), case[2], case[2]:sub(1, 60)) end
    linkis:close()
    lindorm:close()
  end)
end)
