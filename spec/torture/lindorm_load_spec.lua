-- The nightly load at its size: 100 MB of this machine's package list, with
-- quotes, newlines and other scripts in it, from a file into a table, compared
-- row by row; stopped half-way and tried again; a Linkis result carried over.
-- TASKCLIENT_LOAD_MB asks for another size.

local core = require "taskclient.core"
local luasql = require "luasql.sqlite3"
local process = require "spec.support.process"
local taskclient = require "taskclient"
local wait = require "spec.support.wait"

local SIZE = (tonumber(os.getenv "TASKCLIENT_LOAD_MB") or 100) * 1e6
local LIMIT = 600 -- seconds for one load, on a machine that does other things
local CARRIED = 20000

local COLUMNS = { { "id", "bigint" }, { "name", "string" }, { "version", "string" },
  { "section", "string" }, { "kb", "bigint" }, { "maintainer", "string" },
  { "description", "string" } }

local FORMAT = "${Package}\31${Version}\31${Section}\31${Installed-Size}\31${Maintainer}\31"
  .. "${Description}\30"

local function packages()
  local pipe = assert(io.popen("dpkg-query -W -f='" .. FORMAT .. "'"))
  local list = {}
  for record in pipe:read("*a"):gmatch "([^\30]*)\30" do
    local fields = {}
    for field in (record .. "\31"):gmatch "([^\31]*)\31" do fields[#fields + 1] = field end
    list[#list + 1] = fields
  end
  pipe:close()
  assert(#list > 50, "dpkg-query lists too few packages")
  return list
end

-- Row i: real data, with what makes CSV hard put into some.
local function row(list, i)
  local source = list[(i - 1) % #list + 1]
  local fields = { i }
  for n = 1, 6 do fields[n + 1] = source[n] end
  fields[5] = math.tointeger(tonumber(fields[5])) or false
  if i % 7 == 0 then fields[6] = 'Zo\195\171 "\228\184\173\230\150\135" <z@example.org>, etc.' end
  if i % 11 == 0 then fields[4] = false end
  if i % 13 == 0 then fields[4] = "" end
  if i % 17 == 0 then fields[7] = "\r\n," .. fields[7] .. '"' end
  return fields
end

local function cell(value)
  if not value then return "" end
  if type(value) == "number" then return ("%d"):format(value) end
  if value ~= "" and not value:find '[",\r\n]' then return value end
  return '"' .. value:gsub('"', '""') .. '"'
end

local function write_csv(path, list)
  local file = assert(io.open(path, "wb"))
  local size, count, cells = 0, 0, {}
  while size < SIZE do
    count = count + 1
    for n, value in ipairs(row(list, count)) do cells[n] = cell(value) end
    local line = table.concat(cells, ",", 1, #COLUMNS) .. "\n"
    size = size + #line
    file:write(line)
  end
  file:close()
  return count
end

describe("a load of " .. math.floor(SIZE / 1e6) .. " MB", function()
  local box, client, folder, list, count

  setup(function()
    folder, list = process.tempdir(), packages()
    os.execute("mkdir " .. folder .. "/big " .. folder .. "/carried")
    count = write_csv(folder .. "/big/1.csv", list)
    box = assert(require("taskclient.sandbox").start {
      users = { hadoop = "hadoop" },
      lindorm = { sources = { landing = folder }, create_tables = true },
    })
    client = assert(taskclient.lindorm { url = box.lindorm_url })
  end)

  teardown(function()
    box:stop()
    os.execute("rm -rf " .. process.quote(folder))
  end)

  local function submit(path, name, header)
    local reader = taskclient.lindorm.csv { path = path, columns = COLUMNS, header = header }
    return assert(client:submit {
      src = "landing", dst = "ld", instances = 4, reader = reader,
      writer = taskclient.lindorm.table { table = name, from = reader, row = "id" },
    })
  end

  local function ended(job)
    local state, _, err = assert(job:wait { timeout = LIMIT, poll = 0.2 })
    assert.equals("succeeded", state, tostring(err))
  end

  -- Every row of the table against the one it was made from.
  local function compare(name, rows)
    local environment = luasql.sqlite3()
    local connection = assert(environment:connect(box.dir .. "/data.sqlite"))
    local cursor = assert(connection:execute(('select * from "default.%s" order by ROW')
      :format(name)))
    local got, n = cursor:fetch({}, "n"), 0
    while got do
      n = n + 1
      local expected = row(list, n)
      for i = 1, #COLUMNS do
        if (got[i] or false) ~= expected[i] then
          error(("%s: row %d, %s: %s expected, got %s"):format(name, n, COLUMNS[i][1],
            tostring(expected[i]), tostring(got[i])))
        end
      end
      got = cursor:fetch(got, "n")
    end
    cursor:close()
    connection:close()
    environment:close()
    assert.equals(rows, n)
  end

  it("arrives whole, row by row", function()
    local began = core.now()
    local job = submit("big/", "whole")
    ended(job)
    local seconds = core.now() - began
    print(("%d rows, %.0f MB in %.1f s"):format(count, SIZE / 1e6, seconds))
    assert.equals(count, job:info().rows)
    compare("whole", count)
  end)

  it("that is stopped half-way says how far it was; the retry doubles nothing", function()
    local job = submit("big/", "half")
    wait.eventually(function() return assert(job:info()).rows > count / 3 end, LIMIT)
    assert.is_true(assert(job:abort()).killed)
    local there = job:info().rows
    print(("stopped after %d rows"):format(there))
    assert.is_true(there < count)
    compare("half", there)
    assert.is_true(assert(job:retry()))
    ended(job)
    compare("half", count)
  end)

  it("is carried on by a Linkis result, saved and loaded in the same script", function()
    local linkis = assert(taskclient.linkis { url = box.url, user = "hadoop", password = "hadoop" })
    local extract = assert(linkis:submit {
      run_type = "sql", engine = "spark-3.2.1", creator = "nightly", -- IDE would get 5000 rows
      code = ('select ROW as id, "f:name" as name, "f:version" as version, "f:section" as section, '
        .. '"f:kb" as kb, "f:maintainer" as maintainer, "f:description" as description '
        .. 'from "default.whole" order by ROW limit %d'):format(CARRIED),
    })
    assert.equals("succeeded", (extract:wait { timeout = LIMIT, poll = 0.2 }))
    local carried = math.min(CARRIED, count)
    assert.equals(carried, (assert(extract:results())[1]:save(folder .. "/carried/1.csv")))
    ended(submit("carried/", "carried", true))
    compare("carried", carried)
  end)
end)
