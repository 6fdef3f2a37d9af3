import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { programCommand } from './program-command.ts';
import { signetCommand } from './signet-command.ts';

// Asked for by what a command does, and here none does anything.
const context = {} as never;
const whole = signetCommand(context);
const isProgram = ({ commands }: Command): boolean => commands.some((sub) => sub.name() === 'run');

test.for(whole.commands.filter(isProgram).map((command) => command.name()))(
  'signet %s alone is what it is in the whole',
  (name) => {
    const alone = programCommand(name, context);
    expect(alone?.commands.map((command) => command.name())).toEqual([name]);
    const inWhole = whole.commands.find((command) => command.name() === name);
    expect(helpOf(alone?.commands[0])).toEqual(helpOf(inWhole));
  },
);

test.for(['', '--help', 'toString', 'nothing', ...operatorCommands()])(
  '%j is no program',
  (name) => {
    expect(programCommand(name, context)).toBeUndefined();
  },
);

function operatorCommands(): readonly string[] {
  return whole.commands.filter((command) => !isProgram(command)).map((command) => command.name());
}

function helpOf(command: Command | undefined): readonly string[] {
  if (command === undefined) return [];
  return [command.helpInformation(), ...command.commands.flatMap(helpOf)];
}
