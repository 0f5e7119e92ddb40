//! What goes wrong.

use crate::daemons::Daemon;
use crate::world::World;

impl World {
    pub(crate) fn fault(&mut self) {
        match self.rng.below(100) {
            0..33 => self.redis.restart(false, &mut self.rng),
            33..47 => self.redis.restart(true, &mut self.rng),
            47..55 => self.redis.flush(),
            55..77 => {
                let split = self.rng.chance(600);
                self.redis.fail_over(split);
            }
            77..85 => self.redis.heal(),
            85..89 => {
                // A daemon is killed and started again; what it had handed to the network is still on its way.
                let index = self.rng.below(self.daemons.len());
                self.daemons[index] = Daemon::at(self.redis.primary);
            }
            _ => self.kill_coordinator(),
        }
    }
}
