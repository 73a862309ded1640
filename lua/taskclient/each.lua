-- `pairs` by another name. LuaJIT makes a loop of its own kind of `for … in pairs(t)`, known to it
-- by that name, and until September 2022 (so in Debian 12, and in the OpenResty of that time) a
-- compiled trace that runs into such a loop skips it now and then: nothing raises, the table
-- just looks empty. Under another name it is an ordinary loop.

return pairs
