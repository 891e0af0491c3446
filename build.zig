//! build.zig: how eddy is built, tested and shown. `zig build --help` lists the steps.
//!
//! Files are found by walking the folders below, so a new file needs no line here:
//!   src/ROOM/**.c        the library           tests/**_test.c    one program, eddy-tests
//!   examples/NAME.c      a program each        examples/NAME/     one program of all its files
//!   bench/NAME.c         a program each        tests/scripts/     tests that drive the programs
//!   tools/               eddy-ps
//!
//! A Variant is everything built one way: as shipped, as tested, under each sanitizer.
const std = @import("std");
const Build = std.Build;
const LazyPath = Build.LazyPath;

/// The rooms of src/, lowest first. A room includes rooms of a lower level only, through their door
/// headers; `may` names the outside library that it may include. tests/checks/layers.sh reads this table. `core`: where every
/// instruction counts, compiled as one in what is shipped.
const rooms = [_]Room{
    .{ .name = "base", .level = 0, .core = true },
    .{ .name = "coro", .level = 1, .core = true },
    .{ .name = "lockfree", .level = 1, .core = true, .may = "ck" },
    .{ .name = "sched", .level = 2, .core = true },
    .{ .name = "task", .level = 3, .core = true },
    .{ .name = "sync", .level = 4, .core = true },
    .{ .name = "sim", .level = 5 },
    .{ .name = "loop", .level = 5, .may = "uv" },
    .{ .name = "net", .level = 6, .may = "uv" },
    .{ .name = "exec", .level = 6, .may = "uv" },
    .{ .name = "child", .level = 7 },
    .{ .name = "file", .level = 7 },
    .{ .name = "debug", .level = 7, .may = "uv" },
    .{ .name = "runtime", .level = 8, .may = "uv" },
};

/// Files of other rooms that are compiled with the core: each request of a server comes through them. None of them knows libuv
/// or errno.
const served = [_][]const u8{
    "src/loop/poll.c",        "src/net/stream.c",  "src/net/stream_read.c", "src/net/stream_write.c",
    "src/net/stream_calls.c", "src/exec/caller.c", "src/exec/job.c",
};
const Room = struct { name: []const u8, level: u8, may: []const u8 = "", core: bool = false };

/// What programs that use eddy/tls.h link with; others need none of it: the library is static, its objects
/// come in one by one.
const openssl = [_][]const u8{ "ssl", "crypto" };

const Sanitize = enum { none, thread, address };

/// What valgrind is asked, and the tests that run under it: it makes everything 30 times slower. Of the simulator's seeds it gets
/// three: the other legs have the orders, here it is about what is read.
const valgrind = "valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite";
const under_valgrind = [_][]const u8{
    "base.", "heap.", "coro_", "deque.", "inbox.", "task.", "future.", "group.", "lock.", "queue.", "thread_pool.",
};

/// Errors all: the compiler is pinned, so nobody meets a warning that we did not.
const warnings = [_][]const u8{
    "-Wall",           "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes",
    "-Wpointer-arith", "-Wundef", "-Wvla",    "-Werror",
};

pub fn build(b: *Build) void {
    // The plain CPU, not this machine's: what is installed must run elsewhere, and under valgrind.
    const target = b.standardTargetOptions(.{ .default_target = .{ .cpu_model = .baseline } });
    const optimize = b.option(std.builtin.Optimize, "optimize", "default: fast as shipped, debug as tested");
    const sanitize = b.option(Sanitize, "sanitize", "build everything under a sanitizer (default: none)") orelse .none;
    const deps_root = b.option([]const u8, "deps-root", "root folder of the target's packages, for cross builds");
    const only = b.option([]const u8, "tests", "compile only test files whose path contains this");
    const some = b.option([]const u8, "rooms", "compile only these rooms, as in base,coro (default: all)");

    const shared = b.option(bool, "shared", "install libeddy.so as well, which needs OpenSSL") orelse false;

    const base: Variant = .{
        .b = b,
        .name = if (sanitize == .none) "" else @tagName(sanitize),
        .target = target,
        .sanitize = sanitize,
        .optimize = optimize orelse if (sanitize == .none) .fast else .debug,
        .deps_root = if (deps_root) |root| b.graph.cwdRelativePath(root) else null,
        .only = only orelse "",
        .rooms = some orelse "",
    };
    var shipped = base;
    shipped.addLibrary();
    shipped.installLibrary();
    if (shared) shipped.installShared();

    const examples = b.step("examples", "Build the programs of examples/ into zig-out/bin");
    shipped.addExamples(examples);

    const demo = b.step("demo", "Run the registration service under load; arguments after --");
    if (shipped.find("signup-demo")) |program| {
        const run = b.addRunFile(program);
        run.addArg("--service");
        run.addFileArg(shipped.find("signup-service").?);
        run.addPassthruArgs();
        inherit(run);
        demo.dependOn(&run.step);
    } else demo.dependOn(&b.addFail("examples/signup has no demo folder").step);

    const bench = b.step("bench", "Measure eddy and its peers in turn; after --: --only NAMES, --quick, --help, ...");
    const programs = b.step("programs", "Build the programs of examples/ and bench/ into zig-out/bin");
    programs.dependOn(examples);
    shipped.addBenchmarks(&.{ bench, programs });
    const measure = runPython(b, "bench/run.py");
    for (bench.dependencies.items) |program| measure.step.dependOn(program);
    bench.dependOn(&measure.step);
    const plots = b.step("plots", "Draw what a benchmark run wrote with --json; after --: FILE FOLDER");
    plots.dependOn(&runPython(b, "bench/plot.py").step);

    const fuzz = b.step("fuzz", "Compare random programs with CPython's asyncio; after --: --programs N, --seed S, ...");
    shipped.addFuzz(fuzz, programs);

    var tested = base;
    tested.optimize = optimize orelse .debug;
    tested.addLibrary();
    tested.addTests();
    const test_step = b.step("test", "Run the tests; after --: --only TEXT, --workers N, --seed N, --repeat N, ...");
    tested.runTests(test_step, .{ .scripts = "tests/scripts", .after = programs, .passthru = true });

    shipped.addTool("eddy-ps", "tools");
    shipped.install(programs, "eddy-ps");
    shipped.install(b.getInstallStep(), "eddy-ps");

    shipped.addTool("eddy-sim", "tests/sim");
    shipped.install(programs, "eddy-sim");
    tested.addTool("eddy-sim-debug", "tests/sim");
    tested.install(programs, "eddy-sim-debug");
    const sim = b.step("sim", "Run the core's tests and random programs on the simulator; after --: --seed S, --trace, ...");
    const play = b.addRunFile(shipped.find("eddy-sim").?);
    play.setCwd(b.path(""));
    play.addArg("--core");
    play.addFileArg(tested.find("eddy-tests").?);
    play.addArgs(&.{ "--kept", "tests/sim/kept" });
    play.addPassthruArgs();
    inherit(play);
    sim.dependOn(&play.step);

    const model = b.step("model", "Run the core's protocols under every schedule that matters; after --: --full, MODEL");
    const explore = b.addSystemCommand(&.{"tests/model/run.sh"});
    explore.setCwd(b.path(""));
    explore.setEnvironmentVariable("EDDY_ZIG", b.graph.zig_exe);
    explore.addPassthruArgs();
    inherit(explore);
    model.dependOn(&explore.step);

    // The suite as a program for aarch64 under an emulator; the runner is this machine's own.
    const qemu = b.step("qemu", "Run the tests as aarch64 code under qemu; zigw fetches the arm64 packages");
    var emulated = base;
    emulated.name = "qemu";
    emulated.target = b.resolveTargetQuery(std.Target.Query.parse(.{ .arch_os_abi = "aarch64-linux-gnu.2.36" }) catch unreachable);
    emulated.optimize = optimize orelse .debug;
    emulated.deps_root = b.path(".zig/aarch64");
    emulated.addLibrary();
    emulated.addTests();
    emulated.addTool("eddy-sim", "tests/sim"); // the check compares its traces with this machine's
    emulated.install(qemu, "eddy-sim");
    emulated.runTests(qemu, .{
        .after = &b.addInstallFileWithDir(emulated.find("eddy-tests").?, .bin, "qemu/eddy-tests").step,
        .runner = tested.find("eddy-tests"),
        .args = &.{ "--under", "qemu-aarch64-static -L .zig/aarch64" },
        .passthru = true,
    });

    // Delays where threads meet; what is shipped has none. tests/checks/chaos.sh links planted faults with the library.
    const chaos = b.step("chaos", "Run small programs under injected delays; after --: --seeds N, --seed S, --workers N,N");
    var delayed = base;
    delayed.name = "chaos";
    delayed.addLibrary();
    delayed.addTool("eddy-chaos", "tests/chaos");
    delayed.runTool(chaos, "eddy-chaos");
    const delays = b.step("delays", "Run the tests under injected delays; after --: --seed S, --workers N, --only TEXT, ...");
    delayed.addTests();
    delayed.runTests(delays, .{
        .after = &b.addInstallFileWithDir(delayed.find("eddy-tests").?, .bin, "chaos/eddy-tests").step,
        .args = &.{ "--seeds", "0" }, // the simulator has its own
        .passthru = true,
    });

    const stress = b.step("stress", "Run 10^8 items through the core's queues; after --: --items N, --threads N,N");
    shipped.addTool("eddy-stress", "tests/stress");
    shipped.runTool(stress, "eddy-stress");

    const soak = b.step("soak", "Hold connections between two processes; after --: --seconds N, --connections N, ...");
    shipped.addTool("eddy-soak", "tests/soak");
    shipped.runTool(soak, "eddy-soak");
    shipped.install(programs, "eddy-soak");

    const faults = b.step("faults", "Fail each call of the system once; after --: --only PROGRAM, --kind KIND, --nth N");
    shipped.addTool("eddy-faults", "tests/faults");
    shipped.runTool(faults, "eddy-faults");

    // Everything is compiled before the first leg runs, so that no compiler competes with a test.
    const all = b.step("build", "Compile everything: library, examples, benchmarks, tests, sanitized tests");
    all.dependOn(b.getInstallStep());
    all.dependOn(programs);
    tested.install(all, "eddy-tests");
    shipped.install(all, "eddy-stress");
    shipped.install(all, "eddy-faults");
    delayed.install(all, "eddy-chaos");
    all.dependOn(&b.addInstallFileWithDir(delayed.library.getEmittedBin(), .lib, "chaos/libeddy.a").step);
    const check = b.step("check", "Run the tests optimised, under TSan, ASan + UBSan and valgrind, migrating, ticking, and the rules");
    for ([_]Leg{
        .{ .name = "optimised", .optimize = .fast },
        .{ .name = "thread", .sanitize = .thread, .scripts = true },
        .{ .name = "address", .sanitize = .address, .scripts = true },
        .{ .name = "valgrind", .args = &.{ "--under", valgrind, "--seeds", "3" }, .only = &under_valgrind },
    }) |leg| {
        var v = base;
        v.name = leg.name;
        v.optimize = leg.optimize;
        v.sanitize = leg.sanitize;
        v.addLibrary();
        v.addTests();
        if (leg.scripts) v.addExamples(all);
        v.install(all, "eddy-tests");
        const scripts: ?[]const u8 = if (leg.scripts) "tests/scripts" else null;
        v.runTests(check, .{ .after = all, .scripts = scripts, .args = leg.args, .only = leg.only });
    }
    // Each started task that may change workers does so whenever it may.
    tested.runTests(check, .{ .after = all, .args = &.{"--migrate"} });
    // A tick has come whenever anybody looks.
    tested.runTests(check, .{ .after = all, .args = &.{ "--tick", "--seeds", "3" } });
    tested.runTests(check, .{ .after = all, .units = false, .scripts = "tests/checks" });
}

/// One way to run the tests in the step check.
const Leg = struct {
    name: []const u8,
    optimize: std.builtin.Optimize = .debug,
    sanitize: Sanitize = .none,
    scripts: bool = false,
    args: []const []const u8 = &.{},
    only: []const []const u8 = &.{},
};

fn runPython(b: *Build, script: []const u8) *Build.Step.Run {
    const run = b.addSystemCommand(&.{ "/usr/bin/python3", "-B" });
    run.addFileArg(b.path(script));
    run.setCwd(b.path(""));
    run.addPassthruArgs();
    inherit(run);
    return run;
}

/// A run that talks to the terminal; runs of this kind never overlap.
fn inherit(run: *Build.Step.Run) void {
    run.stdio = .inherit;
    run.has_side_effects = true;
    run.disable_zig_progress = true;
}

const Program = struct { name: []const u8, file: LazyPath };

const Variant = struct {
    b: *Build,
    name: []const u8, // "" is what is shipped and installed; others go to zig-out/NAME
    target: Build.ResolvedTarget,
    optimize: std.builtin.Optimize,
    sanitize: Sanitize,
    deps_root: ?LazyPath,
    only: []const u8,
    rooms: []const u8,
    core: ?*Build.Module = null,
    library: *Build.Step.Compile = undefined,
    programs: std.ArrayList(Program) = .empty,

    fn addLibrary(v: *Variant) void {
        const module = v.createModule();
        for (v.list("src", "", .directory)) |name| {
            for (rooms) |room| {
                if (std.mem.eql(u8, room.name, name)) break;
            } else std.process.fatal("src/{s} is not in the table of rooms", .{name});
        }
        const core = if (v.optimize != .debug and v.sanitize == .none) v.createModule() else module;
        v.core = core;
        for (rooms) |room| if (v.has(room.name))
            v.addFiles(if (room.core) core else module, v.b.fmt("src/{s}", .{room.name}), ".c");
        if (core != module) module.addObjectFile(v.addMerged(core));
        v.library = v.b.addLibrary(.{ .name = "eddy", .root_module = module });
        v.library.bundle_ubsan_rt = false;
    }

    /// One object of native code, of all files of `module` compiled as one: inlined across files, without asking those who
    /// link it for the same compiler. docs/adr/0012-core-is-one-object.md
    fn addMerged(v: *Variant, module: *Build.Module) LazyPath {
        const b = v.b;
        const bitcode = b.addLibrary(.{ .name = "eddy-core", .root_module = module });
        bitcode.lto = .full;
        bitcode.bundle_ubsan_rt = false;
        const link = b.addSystemCommand(&.{ b.graph.zig_exe, "ld.lld", "-r", "-o" });
        const object = link.addOutputFileArg("core.o");
        link.addArg("--whole-archive");
        link.addFileArg(bitcode.getEmittedBin());
        return object;
    }

    fn has(v: *Variant, room: []const u8) bool {
        var asked = std.mem.tokenizeScalar(u8, v.rooms, ',');
        if (asked.peek() == null) return true;
        while (asked.next()) |name| if (std.mem.eql(u8, name, room)) return true;
        return false;
    }

    fn installLibrary(v: *Variant) void {
        const b = v.b;
        v.library.installHeadersDirectory(b.path("include/eddy"), "eddy", .{});
        b.installArtifact(v.library);
        for ([_][]const u8{ "eddy.pc", "eddy-tls.pc" }) |file|
            b.installFile(b.fmt("build/{s}", .{file}), b.fmt("lib/pkgconfig/{s}", .{file}));
    }

    /// libeddy.so beside libeddy.a. All of the library is in it, so it needs OpenSSL.
    fn installShared(v: *Variant) void {
        const b = v.b;
        const link = b.addSystemCommand(&.{ b.graph.zig_exe, "cc", "-shared", "-pthread", "-Wl,-soname,libeddy.so.0", "-o" });
        const object = link.addOutputFileArg("libeddy.so.0");
        link.addPrefixedFileArg("-Wl,--version-script=", b.path("build/eddy.map"));
        link.addArg("-Wl,--whole-archive");
        link.addFileArg(v.library.getEmittedBin());
        link.addArgs(&.{ "-Wl,--no-whole-archive", "-luv", "-lm" });
        for (openssl) |name| link.addArg(b.fmt("-l{s}", .{name}));
        b.getInstallStep().dependOn(&b.addInstallLibFile(object, "libeddy.so.0").step);
        b.getInstallStep().dependOn(&b.addInstallLibFile(object, "libeddy.so").step);
    }

    fn addTests(v: *Variant) void {
        const module = v.createModule();
        module.addIncludePath(v.b.path("tests"));
        for ([_][]const u8{ "sim", "runtime", "debug" }) |room|
            if (v.has(room)) module.addCMacro(v.b.fmt("HARNESS_HAS_{s}", .{room}), "1");
        v.addFiles(module, "tests/harness", ".c");
        v.addFiles(module, "tests", "_test.c");
        // Backtraces; Zig has this library of its own, gcc another.
        if (v.sanitize != .address) module.linkSystemLibrary("unwind", .{ .use_pkg_config = .no });
        v.addProgram("eddy-tests", module, &openssl);
    }

    const RunOptions = struct {
        after: *Build.Step,
        scripts: ?[]const u8 = null,
        units: bool = true,
        passthru: bool = false,
        args: []const []const u8 = &.{},
        only: []const []const u8 = &.{},
        runner: ?LazyPath = null, // the program that starts the tests, where the variant's own cannot
    };

    /// One run of the harness: the C tests, then the scripts of a folder, each as one test.
    fn runTests(v: *Variant, step: *Build.Step, options: RunOptions) void {
        const b = v.b;
        const plain = v.name.len == 0;
        const run = b.addRunFile(options.runner orelse v.find("eddy-tests").?);
        if (options.runner != null) {
            run.addArg("--program");
            run.addFileArg(v.find("eddy-tests").?);
        }
        run.setName(b.fmt("tests {s}", .{v.name}));
        run.setCwd(b.path(""));
        run.setEnvironmentVariable("EDDY_ZIG", b.graph.zig_exe);
        run.setEnvironmentVariable("EDDY_VALGRIND", valgrind);
        run.addArgs(&.{ "--variant", if (plain) "plain" else v.name });
        if (!options.units) run.addArg("--no-units");
        if (options.scripts) |folder| run.addArgs(&.{ "--scripts", folder });
        run.addArg("--bin");
        run.addFileArg(.{ .relative = .{ .base = .install_bin, .sub_path = v.name } });
        run.addArgs(options.args);
        for (options.only) |text| run.addArgs(&.{ "--only", text });
        if (options.passthru) run.addPassthruArgs();
        inherit(run);
        run.step.dependOn(options.after);
        step.dependOn(&run.step);
    }

    /// A program of the C files of a folder.
    fn addTool(v: *Variant, name: []const u8, folder: []const u8) void {
        const module = v.createModule();
        v.addFiles(module, folder, ".c");
        v.addProgram(name, module, &.{});
    }

    fn runTool(v: *Variant, step: *Build.Step, name: []const u8) void {
        const run = v.b.addRunFile(v.find(name).?);
        run.addPassthruArgs();
        inherit(run);
        step.dependOn(&run.step);
    }

    fn addExamples(v: *Variant, step: *Build.Step) void {
        const b = v.b;
        for (v.list("examples", "", .directory)) |name| {
            const folder = b.fmt("examples/{s}", .{name});
            if (std.mem.eql(u8, name, "signup")) {
                for ([_][]const u8{ "service", "client", "demo" }) |part| {
                    const own = b.fmt("{s}/{s}", .{ folder, part });
                    if (v.list(own, ".c", .file).len == 0) continue;
                    const module = v.createModule();
                    module.addIncludePath(b.path(folder));
                    v.addFiles(module, b.fmt("{s}/common", .{folder}), ".c");
                    v.addFiles(module, own, ".c");
                    const libraries = &.{ "sqlite3", "ssl", "crypto", "http_parser", "jansson" };
                    v.addProgram(b.fmt("signup-{s}", .{part}), module, libraries);
                }
                continue;
            }
            const module = v.createModule();
            v.addFiles(module, folder, ".c");
            v.addProgram(name, module, &.{});
        }
        for (v.list("examples", ".c", .file)) |file| {
            const module = v.createModule();
            module.addCSourceFile(.{ .file = b.path(b.fmt("examples/{s}", .{file})), .flags = v.flags() });
            const name = file[0 .. file.len - ".c".len];
            const fetches = std.mem.eql(u8, name, "crawler") or std.mem.eql(u8, name, "fan_out");
            v.addProgram(name, module, if (fetches)
                &(openssl ++ .{"http_parser"})
            else if (std.mem.find(u8, name, "tls") != null)
                &openssl
            else
                &.{});
        }
        for (v.programs.items) |program| v.install(step, program.name);
    }

    /// A program of each file in bench/, by the name of bench-FILE.
    fn addBenchmarks(v: *Variant, steps: []const *Build.Step) void {
        const b = v.b;
        for (v.list("bench", ".c", .file)) |file| {
            const module = v.createModule();
            module.addIncludePath(b.path("bench"));
            v.addFiles(module, "bench/harness", ".c");
            module.addCSourceFile(.{ .file = b.path(b.fmt("bench/{s}", .{file})), .flags = v.flags() });
            const name = b.fmt("bench-{s}", .{file[0 .. file.len - ".c".len]});
            v.addProgram(name, module, if (std.mem.eql(u8, file, "http.c")) &.{"http_parser"} else &.{});
            for (steps) |step| v.install(step, name);
        }
        const load = v.createModule(); // the client of the servers
        load.addIncludePath(b.path("bench"));
        for ([_][]const u8{ "peers/load.c", "harness/bench.c" }) |file|
            load.addCSourceFile(.{ .file = b.path(b.fmt("bench/{s}", .{file})), .flags = v.flags() });
        v.addProgram("bench-load", load, &.{});
        for (steps) |step| v.install(step, "bench-load");
    }

    /// The fuzzer's interpreter, and its driver on it.
    fn addFuzz(v: *Variant, step: *Build.Step, programs: *Build.Step) void {
        const b = v.b;
        const module = v.createModule();
        v.addFiles(module, "tests/fuzz", ".c");
        v.addProgram("eddy-fuzz", module, &.{});
        v.install(programs, "eddy-fuzz");
        programs.dependOn(&b.addInstallArtifact(v.library, .{}).step); // its planted faults are linked with it
        const run = b.addSystemCommand(&.{"tests/fuzz/fuzz.py"});
        run.setCwd(b.path(""));
        run.addArg("--interpreter");
        run.addFileArg(v.find("eddy-fuzz").?);
        run.addPassthruArgs();
        inherit(run);
        step.dependOn(&run.step);
    }

    /// Links `module` with the library. Zig has no runtime for AddressSanitizer: there its objects are
    /// linked by the system's gcc.
    fn addProgram(v: *Variant, name: []const u8, module: *Build.Module, libraries: []const []const u8) void {
        const b = v.b;
        const file = if (v.sanitize == .address) file: {
            const objects = b.addLibrary(.{ .name = name, .root_module = module });
            objects.bundle_ubsan_rt = false;
            const link = b.addSystemCommand(&.{ "gcc", "-fsanitize=address,undefined", "-pthread", "-o" });
            const out = link.addOutputFileArg(name);
            link.addArg("-Wl,--whole-archive");
            link.addFileArg(objects.getEmittedBin());
            link.addArg("-Wl,--no-whole-archive");
            link.addFileArg(v.library.getEmittedBin());
            for (libraries) |library| link.addArg(b.fmt("-l{s}", .{library}));
            link.addArgs(&.{ "-luv", "-lm" });
            break :file out;
        } else file: {
            module.linkLibrary(v.library);
            for (libraries) |library| module.linkSystemLibrary(library, .{ .use_pkg_config = .no });
            module.linkSystemLibrary("uv", .{ .use_pkg_config = .no });
            break :file b.addExecutable(.{ .name = name, .root_module = module }).getEmittedBin();
        };
        v.programs.append(b.allocator, .{ .name = name, .file = file }) catch @panic("OOM");
    }

    fn find(v: *Variant, name: []const u8) ?LazyPath {
        for (v.programs.items) |program| if (std.mem.eql(u8, program.name, name)) return program.file;
        return null;
    }

    fn install(v: *Variant, step: *Build.Step, name: []const u8) void {
        const path = if (v.name.len == 0) name else v.b.fmt("{s}/{s}", .{ v.name, name });
        step.dependOn(&v.b.addInstallFileWithDir(v.find(name).?, .bin, path).step);
    }

    fn createModule(v: *Variant) *Build.Module {
        const b = v.b;
        const debug = v.optimize == .debug;
        const module = b.createModule(.{
            .target = v.target,
            .optimize = v.optimize,
            .link_libc = true,
            .strip = false,
            .pic = true,
            .stack_protector = false, // reads the thread pointer in every function: see the thread-local rule
            .omit_frame_pointer = false,
            .sanitize_c = if (debug) .full else .off,
            .sanitize_thread = v.sanitize == .thread,
        });
        if (v.sanitize == .thread) module.addIncludePath(b.path("src/lockfree/tsan"));
        if (std.mem.eql(u8, v.name, "valgrind")) module.addCMacro("ED_VALGRIND", "1");
        if (std.mem.eql(u8, v.name, "chaos")) module.addCMacro("ED_CHAOS_ON", "1");
        module.addIncludePath(b.path("src"));
        module.addIncludePath(b.path("include"));
        if (v.deps_root) |root| {
            const triple = b.fmt("{t}-linux-gnu", .{v.target.result.cpu.arch});
            module.addSystemIncludePath(root.path(b, "usr/include"));
            module.addSystemIncludePath(root.path(b, b.fmt("usr/include/{s}", .{triple})));
            module.addLibraryPath(root.path(b, b.fmt("usr/lib/{s}", .{triple})));
        } else {
            // Where no cc is installed Zig brings its own libc headers and does not look here.
            module.addAfterIncludePath(b.graph.cwdRelativePath("/usr/include"));
            const triple = b.fmt("/usr/include/{t}-linux-gnu", .{v.target.result.cpu.arch});
            module.addAfterIncludePath(b.graph.cwdRelativePath(triple));
        }
        return module;
    }

    fn flags(v: *Variant) []const []const u8 {
        var all: std.ArrayList([]const u8) = .empty;
        all.appendSlice(v.b.allocator, &warnings) catch @panic("OOM");
        const common = [_][]const u8{ "-std=gnu11", "-g", "-fstack-clash-protection", "-D_GNU_SOURCE=" };
        all.appendSlice(v.b.allocator, &common) catch @panic("OOM");
        if (v.sanitize == .address)
            all.appendSlice(v.b.allocator, &.{ "-fsanitize=address", "-fno-sanitize-recover=all" }) catch @panic("OOM");
        return all.items;
    }

    /// Adds the C files below `folder` whose names end in `ending`; under tests/ only those asked for.
    fn addFiles(v: *Variant, module: *Build.Module, folder: []const u8, ending: []const u8) void {
        const b = v.b;
        for (v.list(folder, ending, .file)) |name| {
            const path = b.fmt("{s}/{s}", .{ folder, name });
            const is_test = std.mem.endsWith(u8, name, "_test.c");
            if (is_test and std.mem.find(u8, path, v.only) == null) continue;
            if (is_test and !std.mem.eql(u8, ending, "_test.c")) continue; // the harness has tests beside it
            const is_served = for (served) |one| {
                if (std.mem.eql(u8, one, path)) break true;
            } else false;
            const to = if (is_served) v.core.? else module;
            to.addCSourceFile(.{ .file = b.path(path), .flags = v.flags() });
        }
        for (v.list(folder, "", .directory)) |name|
            v.addFiles(module, b.fmt("{s}/{s}", .{ folder, name }), ending);
    }

    /// The names in a folder of one kind and ending, sorted. A folder that is not there is empty; the
    /// configuration is made again when a file comes or goes.
    fn list(v: *Variant, folder: []const u8, ending: []const u8, kind: std.Io.File.Kind) []const []const u8 {
        const b = v.b;
        const io = b.graph.io;
        var names: std.ArrayList([]const u8) = .empty;
        var dir = b.root.openDir(io, folder, .{ .iterate = true }) catch return &.{};
        defer dir.close(io);
        b.dependOnDirectoryContents(b.path(folder));
        var entries = dir.iterate();
        while (entries.next(io) catch @panic("cannot read a folder")) |entry| {
            if (entry.kind != kind or !std.mem.endsWith(u8, entry.name, ending)) continue;
            names.append(b.allocator, b.dupe(entry.name)) catch @panic("OOM");
        }
        std.mem.sort([]const u8, names.items, {}, struct {
            fn less(_: void, x: []const u8, y: []const u8) bool {
                return std.mem.lessThan(u8, x, y);
            }
        }.less);
        return names.items;
    }
};
