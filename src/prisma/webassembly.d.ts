// The little of WebAssembly that the schema engine needs. TypeScript declares it in its DOM library only, which would
// bring every global of the browser into a program that runs on Node.

declare namespace WebAssembly {
  type Exports = Record<string, unknown>
  class Module {
    private constructor()
    static imports(module: Module): { module: string; name: string; kind: string }[]
  }
  class RuntimeError extends Error {}
  function compile(bytes: Uint8Array): Promise<Module>
  function instantiate(module: Module, imports: Record<string, object>): Promise<{ exports: Exports }>
}
